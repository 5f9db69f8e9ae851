"""Send many requests concurrently in one thread: PreparedRequest in, Exchange out (docs/adr/0002).

Not thread-safe. A transport belongs to one thread.
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

# HTTP/1.1 needs these itself (RFC 9112). A second one could make the receiver misread the request.
_OURS = frozenset({"host", "transfer-encoding", "connection", "expect", "te", "upgrade"})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def header_lines(headers: Mapping[str, str]) -> list[str]:
    """Return lines for libcurl in this order. It adds Host before and Content-Length after them.

    Nothing else is added: no Accept, Expect, User-Agent, or Accept-Encoding. `custom_headers.py`
    decides which names administrators can use. This last check only applies the rules of HTTP.
    Raises `HeaderError`, whose message never contains a value.
    """
    beginnings, switches = _checked_names(tuple(headers))
    values = headers.values()
    text = "".join(values)
    # Printable ASCII is 0x20 to 0x7e, so no line break can add a header.
    if not (text.isascii() and text.isprintable()):
        raise HeaderError("A header value has characters that can’t be sent")
    # libcurl leaves out a header written "Name:" and sends an empty one for "Name;".
    lines = [
        beginning + value if value.strip() else beginning.replace(": ", ";")
        for beginning, value in zip(beginnings, values, strict=True)
    ]
    return lines + switches


@lru_cache(maxsize=1024)
def _checked_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Check header names. Return the beginnings of their lines, and switches.

    Switches are lines that keep libcurl from adding its own headers.
    """
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

_TURNS_EVERY = 0.05  # seconds between two checks of waiting lookups


def prepare(
    url: str, headers: Mapping[str, str] | Sequence[tuple[str, str]], body: bytes
) -> requests.PreparedRequest:
    """Return a POST with exactly this body and these headers, in this order.

    Never raises. A request that can't be sent becomes an `Exchange` with its reason.
    """
    request = requests.PreparedRequest()
    request.method, request.url, request.body = "POST", url, body
    # A CaseInsensitiveDict takes longer to make than the signatures. No code looks up a header, and
    # `start` refuses names that differ only in case.
    request.headers = dict(headers)  # type: ignore[assignment]
    return request


class Transport:
    """A client that sends prepared POST requests and returns an exchange for each.

    `ca_bundle` is a PEM file that is trusted besides certifi's. Certificates are always verified.
    Connections are reused. A dead one is replaced once within the same request. A receiver that had
    already read the request then gets it twice, and `Phases.again` says so.
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
        """Return the number of requests that were started and not yet returned."""
        return len(self._busy) + len(self._ended) + self._lookups.waiting

    @property
    def free(self) -> int:
        """Return the number of further requests that can be started now."""
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
        """Start a request. `drive` returns it under `key`.

        `timeout` in seconds covers connecting (at most `patience`) and the whole response. `opens`
        is passed to the guard. `doubted`: the receiver has problems, so its name lookup waits
        behind others until one succeeds. `is_fresh`: no open connection is reused. Problems of the
        request become an `Exchange`. Raises RuntimeError without a free slot and ValueError for any
        method but POST.
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
        """Return keys of requests without a connection or an acknowledgment for so many seconds."""
        since = monotonic() - seconds
        keys = [order.key for order in self._lookups.queued() if order.began <= since]
        for handle in self._busy.values():
            if handle.began + handle.waited > since:  # the others started later
                break
            if handle.is_unheard:
                keys.append(handle.key)
        return keys

    def watch(self, fd: int) -> None:
        """Make `drive` also return when this foreign descriptor is readable, until `unwatch`."""
        self._sockets.watch(fd)

    def unwatch(self, fd: int) -> None:
        """Stop watching a foreign descriptor."""
        self._sockets.unwatch(fd)

    def is_readable(self, fd: int) -> bool:
        """Return whether this descriptor was readable in the last `drive`."""
        return fd in self._sockets.readable

    def drive(self, wait: float) -> list[Exchange]:
        """Transfer data for at most `wait` seconds. Return the requests that have ended.

        Returns early once a request has ended or a watched descriptor is readable, and right away
        if nothing is in flight or watched.
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
        """Drop these requests. Return the keys of requests that might have arrived."""
        self._lookups.remove(lambda order: order.key in keys)
        sent = set()
        for handle in [busy for busy in self._busy.values() if busy.key in keys]:
            if handle.may_have_arrived:
                sent.add(handle.key)
            if handle in self._looking_up:
                self._note_name(handle, hangs=True)
            self._release(handle)
        return sent

    def abandon(self) -> list[Hashable]:
        """Drop all requests that haven't been returned yet. Return their keys."""
        keys: list[Hashable] = [exchange.key for exchange in self._ended]
        self._ended = []
        for handle in list(self._busy.values()):
            keys.append(handle.key)
            self._release(handle)
        self._looking_up.clear()
        return keys + [order.key for order in self._lookups.abandon()]

    def close(self) -> None:
        """Drop all requests and release all sockets and handles.

        libcurl waits here for hanging name lookups, each until the resolver's own timeout. A worker
        that must exit right away calls `abandon`, records, and exits without closing.
        """
        self.abandon()
        self._multi.close()
        for handle in self._idle:
            handle.curl.close()
        self._idle.clear()
        self._sockets.close()
        self._trust.close()

    def _begin(self, order: Order, name: Name | None = None) -> None:
        """Pass the request to libcurl. If libcurl refuses it, it ends right away.

        `name`: the name that libcurl has to look up for it.
        """
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
        """Record resolved names, and start requests that have waited for their lookup."""
        for handle in [resolved for resolved in self._looking_up if resolved.has_address]:
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


LONGEST_WAIT: Final = 0.1  # seconds between two checks of the clock
AT_MOST: Final = 2 * PROBE_TIMEOUT  # libcurl ends each probe sooner


class Connected(NamedTuple):
    """The result of a bare connect. `address`: the first one that was tried."""

    is_open: bool
    address: str | None


class BareProbes:
    """A client that connects, with TLS for HTTPS, and sends no data. Belongs to one thread."""

    def __init__(self, guard: AddressGuard, *, ca_bundle: str | None = None) -> None:
        self._guard = guard
        self._trust = TrustStore(ca_bundle)
        # Kept between rounds because closing it waits many seconds for each hanging lookup.
        self._multi = pycurl.CurlMulti()

    def connect(self, urls: Iterable[str], timeout: float = PROBE_TIMEOUT) -> dict[str, Connected]:
        """Connect to all URLs together. Names are resolved again, and no connection is kept."""
        multi = self._multi
        busy: dict[pycurl.Curl, CurlHandle] = {}
        results: dict[str, Connected] = {}
        for url in urls:
            results[url] = Connected(is_open=False, address=None)
            if handle := self._handle_for(url, timeout):
                busy[handle.curl] = handle
                multi.add_handle(handle.curl)
        until = monotonic() + AT_MOST
        while busy and monotonic() < until:
            multi.perform()
            _, good, bad = multi.info_read()
            ended = dict.fromkeys(good, True) | {failure[0]: False for failure in bad}
            for curl, is_open in ended.items():
                multi.remove_handle(curl)
                handle = busy.pop(curl)
                results[str(handle.key)] = Connected(is_open, handle.address)
                curl.close()
            if busy and not ended:
                multi.select(LONGEST_WAIT)
        for curl in busy:
            multi.remove_handle(curl)
            curl.close()
        return results

    def close(self) -> None:
        """Release the sockets, and remove the file of joined certificates."""
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
