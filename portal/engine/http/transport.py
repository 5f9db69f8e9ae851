"""Many requests at once in one thread: PreparedRequest in, Exchange out (docs/adr/0002).

Not thread-safe: one transport belongs to one thread.
"""

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from time import monotonic
from typing import Final, NamedTuple

import pycurl
import requests

from portal.engine.connectivity import PROBE_TIMEOUT
from portal.engine.http.address_guard import AddressError, AddressGuard, check_url
from portal.engine.http.curl_handle import (
    CONNECT_TIMEOUT,
    Acknowledgements,
    CurlHandle,
    Order,
    Sockets,
    TrustStore,
)
from portal.engine.http.custom_headers import HeaderError
from portal.engine.http.exchange import (
    CertificateDates,
    Exchange,
    Phases,
    exchange_of,
    unsendable,
    without_turn,
)
from portal.engine.http.name_lookups import Lookups, Name, name_of
from portal.engine.reasons import Reason

# What HTTP/1.1 itself needs (RFC 9112): a second one would let the receiver misread the request.
_OURS = frozenset({"host", "transfer-encoding", "connection", "expect", "te", "upgrade"})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def header_lines(headers: Mapping[str, str]) -> list[str]:
    """The lines for libcurl, in the order given; libcurl adds Host before and Content-Length after.

    Nothing else is added: no Accept, no Expect, no User-Agent, no Accept-Encoding. Which names an
    admin may use is decided in `custom_headers.py`; this last look judges by
    the rules of HTTP alone.
    Raises `HeaderError`, whose message never has a value in it.
    """
    beginnings, switches = _checked_names(tuple(headers))
    values = headers.values()
    text = "".join(values)
    # For ASCII, printable means 0x20 to 0x7e: no line break can add a header.
    if not (text.isascii() and text.isprintable()):
        raise HeaderError("A header value has characters that can’t be sent")
    # libcurl reads "Name:" as "leave it out" and "Name;" as "send it empty".
    lines = [
        beginning + value if value.strip() else beginning.replace(": ", ";")
        for beginning, value in zip(beginnings, values, strict=True)
    ]
    return lines + switches


@lru_cache(maxsize=1024)
def _checked_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Check a set of names; return how their lines begin, and lines that keep libcurl from adding
    headers of its own accord."""
    for name in names:
        if not _NAME.match(name):
            raise HeaderError("A header name has characters that HTTP doesn’t allow")
        if name.lower() in _OURS:
            raise HeaderError(f"The portal sets the {name} header")
    lower = {name.lower() for name in names}
    if len(lower) < len(names):
        raise HeaderError("A header is included twice, with different capitals")
    switches = ["Expect:"] if "accept" in lower else ["Accept:", "Expect:"]
    return [f"{name}: " for name in names], switches


__all__ = ["Exchange", "Phases", "Transport", "prepare"]

_TURNS_EVERY = 0.05  # seconds between two looks at whose name may be looked up next


def prepare(
    url: str, headers: Mapping[str, str] | Sequence[tuple[str, str]], body: bytes
) -> requests.PreparedRequest:
    """A POST of exactly this body with exactly these headers, in this order.

    Never raises: what cannot be sent becomes an `Exchange` with its reason.
    """
    request = requests.PreparedRequest()
    request.method, request.url, request.body = "POST", url, body
    # Not its CaseInsensitiveDict, which takes longer to make than the signatures: nobody looks a
    # header up, and names that differ in capitals alone are refused when it is started.
    request.headers = dict(headers)  # type: ignore[assignment]
    return request


class Transport:
    """Sends prepared POST requests and hands back what came of each.

    `ca_bundle` is a PEM file trusted besides certifi's; certificates are always verified.
    Connections are kept open and used again. One that turns out dead is replaced within the same
    request, once: a receiver that had read it gets it twice then, and `Phases.again` says so.
    """

    def __init__(
        self, guard: AddressGuard, *, ca_bundle: str | None = None, max_in_flight: int = 512
    ) -> None:
        self._guard = guard
        self._max_in_flight = max_in_flight
        self._trust = TrustStore(ca_bundle)
        self._certificates = CertificateDates(2 * max_in_flight)
        self._acknowledgements = Acknowledgements(2 * max_in_flight)
        self._idle: list[CurlHandle] = []
        self._busy: dict[pycurl.Curl, CurlHandle] = {}
        self._lookups: Lookups[Order] = Lookups()
        self._looking_up: dict[CurlHandle, Name] = {}
        self._ended: list[Exchange] = []
        self._sockets = Sockets()
        self._timer_at: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.note)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_in_flight)

    @property
    def in_flight(self) -> int:
        """Return how many requests were started and not yet handed back."""
        return len(self._busy) + len(self._ended) + self._lookups.waiting

    @property
    def free(self) -> int:
        """Return how many more requests may be started now."""
        return self._max_in_flight - self.in_flight

    def start(
        self,
        key: Hashable,
        request: requests.PreparedRequest,
        *,
        timeout: float,
        opens: tuple[str, int] | None = None,
        doubted: bool = False,
        is_fresh: bool = False,
        patience: float = CONNECT_TIMEOUT,
    ) -> None:
        """Begin a request; `drive` hands it back under `key`.

        `timeout` in seconds covers all of it, connecting (at most `patience`) and the whole answer.
        `opens` is passed to the guard. `doubted`: the receiver is in trouble, its name goes behind
        others until it answers. `is_fresh`: no open connection is used again.
        Whatever is wrong ends as an Exchange. Raises RuntimeError when no slot is free, ValueError
        for no POST.
        """
        if request.method != "POST":
            raise ValueError(f"Only POST is sent, not {request.method}.")
        if self.free <= 0:
            raise RuntimeError(f"All {self._max_in_flight} slots are in use.")
        try:
            url = check_url(request.url or "")
            lines = header_lines(request.headers)
        except AddressError as error:
            cause = requests.exceptions.InvalidURL(str(error), request=request)
            self._ended.append(unsendable(key, request, Reason.DNS, cause))
        except HeaderError as error:
            refused = requests.exceptions.InvalidHeader(str(error), request=request)
            self._ended.append(unsendable(key, request, Reason.BAD_HEADERS, refused))
        else:
            began = monotonic()
            order = Order(key, request, url, lines, began, timeout, opens, is_fresh, patience)
            name = name_of(url)
            if name is None or self._lookups.is_known(name):
                self._begin(order)
            elif self._lookups.ask(name, began + timeout, order, doubted=doubted):
                self._begin(order, name)

    def unheard(self, seconds: float) -> list[Hashable]:
        """The keys of the requests that have had no connection for so long, or on it no sign."""
        since = monotonic() - seconds
        found = [order.key for order in self._lookups.queued() if order.began <= since]
        for handle in self._busy.values():
            if handle.began + handle.waited > since:  # the others were begun later
                break
            if handle.is_unheard:
                found.append(handle.key)
        return found

    def watch(self, fd: int) -> None:
        """Have `drive` return also when this, somebody else's, is readable, until `unwatch`."""
        self._sockets.watch(fd)

    def unwatch(self, fd: int) -> None:
        """No more for this one."""
        self._sockets.unwatch(fd)

    def is_readable(self, fd: int) -> bool:
        """Return whether this one was readable, the last time `drive` looked."""
        return fd in self._sockets.readable

    def drive(self, wait: float) -> list[Exchange]:
        """Move bytes for at most `wait` seconds; return as soon as a request has ended, or what is
        watched can be read.

        Returns at once when nothing is in flight and nothing is watched.
        """
        until = monotonic() if self._ended else monotonic() + wait
        self._sockets.readable.clear()
        while self._busy or self._lookups.waiting or self._sockets.is_watching:
            self._serve_sockets(until)
            self._serve_timer()
            self._collect()
            self._take_turns()
            if self._ended or self._sockets.readable or monotonic() >= until:
                break
        ended, self._ended = self._ended, []
        return ended

    def abort(self, keys: Collection[Hashable]) -> set[Hashable]:
        """Drop these; return the keys of those that may have arrived."""
        self._lookups.remove(lambda order: order.key in keys)
        sent = set()
        for handle in [each for each in self._busy.values() if each.key in keys]:
            if handle.may_have_arrived:
                sent.add(handle.key)
            if handle in self._looking_up:
                self._note_name(handle, hangs=True)
            self._release(handle)
        return sent

    def abandon(self) -> list[Hashable]:
        """Drop everything that has not been handed back; return its keys."""
        keys: list[Hashable] = [exchange.key for exchange in self._ended]
        self._ended = []
        for handle in list(self._busy.values()):
            keys.append(handle.key)
            self._release(handle)
        self._looking_up.clear()
        return keys + [order.key for order in self._lookups.abandon()]

    def close(self) -> None:
        """Drop everything and give back all sockets and handles.

        libcurl waits here for name lookups that still hang, each as long as the resolver's own
        patience. A worker that must leave at once abandons, records, and exits without closing.
        """
        self.abandon()
        self._multi.close()
        for handle in self._idle:
            handle.curl.close()
        self._idle.clear()
        self._sockets.close()
        self._trust.close()

    def _begin(self, order: Order, name: Name | None = None) -> None:
        """Give the request to libcurl; what that does not take ends at once, and holds up nobody.
        `name`: what it has to look up for it."""
        handle = self._take_handle()
        try:
            handle.load(order, waited=monotonic() - order.began)
        except (ValueError, pycurl.error) as error:
            cause = requests.exceptions.RequestException(str(error), request=order.request)
            self._ended.append(unsendable(order.key, order.request, Reason.INTERNAL, cause))
            if name is not None:
                self._lookups.lost(name, hangs=False)
            return
        self._busy[handle.curl] = handle
        if name is not None:
            self._looking_up[handle] = name
        self._multi.add_handle(handle.curl)

    def _take_turns(self) -> None:
        """Note which names have been found, and begin what has waited for that."""
        for handle in [each for each in self._looking_up if each.has_address]:
            self._note_name(handle)
        if not self._lookups.waiting:
            return
        for order in self._lookups.overdue():
            self._ended.append(without_turn(order))
        for order in self._lookups.ready():
            name = name_of(order.url)
            self._begin(order, None if name and self._lookups.is_known(name) else name)

    def _note_name(self, handle: CurlHandle, *, hangs: bool = False) -> None:
        name = self._looking_up.pop(handle)
        if handle.is_reused:
            self._lookups.spared(name)
        elif handle.has_address:
            self._lookups.found(name)
        else:
            self._lookups.lost(name, hangs=hangs)

    def _take_handle(self) -> CurlHandle:
        if self._idle:
            return self._idle.pop()
        return CurlHandle(self._guard, self._trust.ca_file, self._acknowledgements)

    def _release(self, handle: CurlHandle) -> None:
        del self._busy[handle.curl]
        self._multi.remove_handle(handle.curl)
        handle.clear()
        self._idle.append(handle)

    def _serve_sockets(self, until: float) -> None:
        if self._lookups.waiting:
            until = min(until, monotonic() + _TURNS_EVERY)
        wake_at = until if self._timer_at is None else min(until, self._timer_at)
        for fd, mask in self._sockets.ready(max(0.0, wake_at - monotonic())):
            self._multi.socket_action(fd, mask)

    def _serve_timer(self) -> None:
        if self._timer_at is not None and monotonic() >= self._timer_at:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _collect(self) -> None:
        queued = 1
        while queued:
            queued, good, bad = self._multi.info_read()
            for curl in good:
                self._finish(self._busy[curl], pycurl.E_OK, "")
            for curl, code, message in bad:
                self._finish(self._busy[curl], code, message)

    def _finish(self, handle: CurlHandle, code: int, message: str) -> None:
        if handle.wants_fresh:
            self._multi.remove_handle(handle.curl)
            handle.begin_again()
            self._multi.add_handle(handle.curl)
            return
        if handle in self._looking_up:
            self._note_name(handle, hangs=code == pycurl.E_OPERATION_TIMEDOUT)
        self._ended.append(exchange_of(handle, code, message, self._certificates))
        self._release(handle)

    def _set_timer(self, milliseconds: int) -> None:
        self._timer_at = None if milliseconds < 0 else monotonic() + milliseconds / 1000


LONGEST_WAIT: Final = 0.1  # seconds between two looks at the clock
AT_MOST: Final = 2 * PROBE_TIMEOUT  # libcurl ends each of them sooner


class Connected(NamedTuple):
    """The result of a bare connect: whether it is open, and the first address that was tried."""

    is_open: bool
    address: str | None


class BareProbes:
    """Connects without sending anything, through TLS for https, and hangs up. Belongs to one
    thread."""

    def __init__(self, guard: AddressGuard, *, ca_bundle: str | None = None) -> None:
        self._guard = guard
        self._trust = TrustStore(ca_bundle)
        # It outlives a round: to close it waits for each look-up that hangs, for many seconds.
        self._multi = pycurl.CurlMulti()

    def connect(self, urls: Iterable[str], timeout: float = PROBE_TIMEOUT) -> dict[str, Connected]:
        """Connect to all of these together. Names are resolved again; no connection is kept."""
        multi = self._multi
        busy: dict[pycurl.Curl, CurlHandle] = {}
        found: dict[str, Connected] = {}
        for url in urls:
            found[url] = Connected(is_open=False, address=None)
            if handle := self._handle_for(url, timeout):
                busy[handle.curl] = handle
                multi.add_handle(handle.curl)
        until = monotonic() + AT_MOST
        while busy and monotonic() < until:
            multi.perform()
            _, good, bad = multi.info_read()
            ended = dict.fromkeys(good, True) | {each[0]: False for each in bad}
            for curl, is_open in ended.items():
                multi.remove_handle(curl)
                handle = busy.pop(curl)
                found[str(handle.key)] = Connected(is_open, handle.address)
                curl.close()
            if busy and not ended:
                multi.select(LONGEST_WAIT)
        for curl in busy:
            multi.remove_handle(curl)
            curl.close()
        return found

    def close(self) -> None:
        """Give back the sockets, and remove the joined certificates."""
        self._multi.close()
        self._trust.close()

    def _handle_for(self, given: str, timeout: float) -> CurlHandle | None:
        try:
            url = check_url(given)
        except AddressError:
            return None
        handle = CurlHandle(self._guard, self._trust.ca_file)
        handle.only_connect()
        request, began = prepare(url, {}, b""), monotonic()
        handle.load(Order(given, request, url, [], began, timeout, None, True, timeout), waited=0.0)
        return handle
