"""One libcurl handle: its options, its callbacks, its bounds. Used again and again."""

import os
import select
import socket
import sys
import tempfile
from collections.abc import Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

import certifi
import pycurl
import requests

from portal.engine.http.address_guard import AddressGuard
from portal.engine.http.name_lookups import CACHE_SECONDS

_TO_EPOLL = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_READABLE = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_EVENTS_A_POLL = 64  # then finished requests are looked for: none waits long for the others
# https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h: struct tcp_info begins
# with eight bytes and four numbers of four bytes; the next is the segments not acknowledged.
UNACKED: Final = slice(24, 28)

Local = tuple[str, int]


class Sockets:
    """The sockets of one multi handle, by file number.

    A socket that libcurl has done with for now stays registered, for most are used again at once.
    One that is closed the system has forgotten by itself, whoever gets its number next.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._registered: set[int] = set()
        self._resting: set[int] = set()
        self._watched: set[int] = set()
        self.readable: set[int] = set()

    def watch(self, fd: int) -> None:
        """Wake up for one more, which is not libcurl's: `readable` says which are readable."""
        self._watched.add(fd)
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """No more for this one."""
        self._watched.discard(fd)
        self.readable.discard(fd)
        with suppress(OSError):  # closed, so forgotten
            self._epoll.unregister(fd)

    @property
    def is_watching(self) -> bool:
        """Return whether there is such a one."""
        return bool(self._watched)

    def note(self, event: int, fd: int, _multi: object = None, _data: object = None) -> None:
        """Watch the socket for this `pycurl.POLL_…`, or no more. Called as libcurl calls it."""
        if event == pycurl.POLL_REMOVE:
            self._resting.add(fd)
            return
        self._resting.discard(fd)
        if fd in self._registered:
            with suppress(FileNotFoundError):  # its number was another's
                self._epoll.modify(fd, _TO_EPOLL[event])
                return
        self._epoll.register(fd, _TO_EPOLL[event])
        self._registered.add(fd)

    def ready(self, wait: float) -> list[tuple[int, int]]:
        """Return who is ready within `wait` seconds, as `socket_action` takes it: (number,
        mask)."""
        found = []
        for fd, events in self._epoll.poll(wait, _EVENTS_A_POLL):
            if fd in self._watched:
                self.readable.add(fd)
                continue
            if fd in self._resting:  # the receiver hung up; libcurl looks before it uses it again
                self._forget(fd)
                continue
            mask = pycurl.CSELECT_IN if events & _READABLE else 0
            found.append((fd, mask | pycurl.CSELECT_OUT if events & select.EPOLLOUT else mask))
        return found

    def close(self) -> None:
        """Watch nothing any more."""
        self._epoll.close()

    def _forget(self, fd: int) -> None:
        self._resting.remove(fd)
        self._registered.remove(fd)
        self._epoll.unregister(fd)


class Acknowledgements:
    """The sockets of one transport, by the address and port of this end.

    libcurl does not tell which socket a request that is under way goes over, but where that begins.
    A file number may be another socket's by now, so the address is compared.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._files: dict[Local, int] = {}

    def note(self, local: Local, file: int) -> None:
        """A connection is open."""
        self._files[local] = file
        if len(self._files) > self._capacity:
            del self._files[next(iter(self._files))]

    def is_missing(self, local: Local | None) -> bool:
        """Return whether something that was sent from there is on its way still, as far as is
        known."""
        file = self._files.get(local) if local else None
        if file is None:
            return False
        try:
            known = socket.socket(fileno=file)
        except OSError:
            return False
        try:
            if known.getsockname()[:2] != local:
                return False
            info = known.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, UNACKED.stop)
            return int.from_bytes(info[UNACKED], sys.byteorder) > 0
        except OSError:
            return False
        finally:
            known.detach()  # it is libcurl's


MAX_BODY = 64 * 1024
"""Bytes of an answer's body that are read; then the connection is dropped."""
MAX_HEAD = 64 * 1024
"""Bytes of all header lines together, informational answers (1xx) included."""
MAX_HEAD_LINES = 1000
CONNECT_TIMEOUT = 5.0
MAX_IDLE = 60
MAX_CONNECTION_AGE = 300

_STOP = 0
"""What a callback returns to end the transfer: fewer bytes than it was given."""

_FIXED_OPTIONS = {
    pycurl.NOSIGNAL: 1,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.FOLLOWLOCATION: 0,
    pycurl.PATH_AS_IS: 1,
    pycurl.POST: 1,
    # Headers are ours alone: an empty User-Agent keeps libcurl from adding its own.
    pycurl.USERAGENT: "",
    # The environment's proxies and .netrc are not ours to follow.
    pycurl.PROXY: "",
    pycurl.NOPROXY: "*",
    pycurl.NETRC: 0,
    pycurl.HTTP_CONTENT_DECODING: 0,
    pycurl.SSL_VERIFYPEER: 1,
    pycurl.SSL_VERIFYHOST: 2,
    pycurl.OPT_CERTINFO: 1,
    pycurl.TCP_NODELAY: 1,
    pycurl.DNS_CACHE_TIMEOUT: CACHE_SECONDS,
    # Most servers drop an idle connection after a minute; a receiver that moved is followed.
    pycurl.MAXAGE_CONN: MAX_IDLE,
    pycurl.MAXLIFETIME_CONN: MAX_CONNECTION_AGE,
}


class Order(NamedTuple):
    """A request that was asked for at `began` (monotonic); `timeout` in seconds covers all of it.

    `url` and `headers` are checked and as libcurl takes them; `opens` is passed to the guard.
    `is_fresh`: over a connection of its own, so that every phase is gone through. `patience`:
    seconds for connecting, and for the other side to acknowledge what it was sent.
    """

    key: Hashable
    request: requests.PreparedRequest
    url: str
    headers: Sequence[str]
    began: float
    timeout: float
    opens: tuple[str, int] | None
    is_fresh: bool
    patience: float = CONNECT_TIMEOUT


class CurlHandle:
    """A libcurl easy handle with what its callbacks gather for one request."""

    __slots__ = (
        "acknowledgements",
        "address",
        "again",
        "began",
        "body",
        "curl",
        "file",
        "guard",
        "has_given_up",
        "head",
        "head_size",
        "key",
        "limits",
        "local",
        "opened",
        "opens",
        "order",
        "patience",
        "peer",
        "refusal",
        "reopened",
        "request",
        "socket_errno",
        "truncated",
        "waited",
        "wants_fresh",
    )

    def __init__(
        self,
        guard: AddressGuard,
        ca_file: str,
        acknowledgements: Acknowledgements | None = None,
    ) -> None:
        self.guard = guard
        self.acknowledgements = acknowledgements or Acknowledgements(0)
        self.curl = curl = pycurl.Curl()
        for option, value in _FIXED_OPTIONS.items():
            curl.setopt(option, value)
        curl.setopt(pycurl.CAINFO, ca_file)
        curl.unsetopt(pycurl.CAPATH)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        curl.setopt(pycurl.PREREQFUNCTION, self._before_request)
        curl.setopt(pycurl.HEADERFUNCTION, self._take_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._take_body)
        self.limits: tuple[bool, int, int] | None = None
        self.patience = CONNECT_TIMEOUT
        self.body = bytearray()
        self.head: list[bytes] = []
        self.clear()

    def clear(self) -> None:
        """Forget the last request, so that an idle handle holds nothing of it."""
        self.key: Hashable = None
        self.request: requests.PreparedRequest | None = None
        self.opens: tuple[str, int] | None = None
        self.peer: tuple[str, int] | None = None
        self.local: Local | None = None
        self.file = -1
        self.refusal: str | None = None
        self.address: str | None = None
        self.order: Order | None = None
        self.opened = self.truncated = self.has_given_up = self.wants_fresh = False
        self.head_size = self.socket_errno = 0
        self.began = self.waited = 0.0
        self.again: float | None = None
        self.reopened: float | None = None
        self.head = []
        self.body = bytearray()

    def only_connect(self) -> None:
        """Send nothing: its requests end with the connection, which nobody uses afterwards."""
        self.curl.setopt(pycurl.CONNECT_ONLY, 1)
        self.curl.setopt(pycurl.FORBID_REUSE, 1)
        self.curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)

    def load(self, order: Order, waited: float) -> None:
        """Set what differs from request to request. `waited`: seconds since it was asked for."""
        self.order = order
        self.key, self.request, self.opens = order.key, order.request, order.opens
        self.began, self.waited, self.patience = order.began, waited, order.patience
        setopt = self.curl.setopt
        setopt(pycurl.URL, order.url)
        setopt(pycurl.HTTPHEADER, order.headers)
        body = order.request.body or b""
        setopt(pycurl.POSTFIELDS, body.encode() if isinstance(body, str) else body)
        left = order.timeout - waited
        limits = order.is_fresh, int(left * 1000), int(min(left, order.patience) * 1000)
        if limits != self.limits:  # nearly always as they were
            self.limits = limits
            setopt(pycurl.FRESH_CONNECT, int(order.is_fresh))
            setopt(pycurl.TIMEOUT_MS, max(1, limits[1]))
            setopt(pycurl.CONNECTTIMEOUT_MS, max(1, limits[2]))

    def begin_again(self) -> None:
        """Prepare the same request for a connection of its own: the one that was open has ended,
        and others that are may have ended as well."""
        assert self.order is not None  # noqa: S101 -- a loaded handle always has one
        self.wants_fresh, self.reopened = False, monotonic() - self.began
        self.load(self.order._replace(is_fresh=True), waited=self.reopened)

    @property
    def has_address(self) -> bool:
        """Return whether the name has been looked up, or a connection was open already."""
        return self.opened or self.refusal is not None or self.socket_errno != 0 or self.is_reused

    @property
    def is_reused(self) -> bool:
        """Return whether the request goes over a connection that was open already."""
        return self.peer is not None and not self.opened

    @property
    def is_unheard(self) -> bool:
        """Return whether nothing shows that a living path leads to the receiver: there is no
        connection, or the request on it was not acknowledged."""
        if self.is_connecting:
            return True
        return not self.head and self.acknowledgements.is_missing(self.local)

    @property
    def is_connecting(self) -> bool:
        """Return whether the request has no connection, or lost the one that was open already."""
        return self.peer is None or self.reopened is not None

    @property
    def may_have_arrived(self) -> bool:
        """Return whether anything of the request has gone out over a connection."""
        return self.peer is not None

    def _open_socket(self, _purpose: int, wanted: pycurl.CurlSockAddr) -> int:
        """Vet each address before a packet goes there; libcurl then tries the host's next one."""
        host, port = str(wanted.addr[0]), int(wanted.addr[1])
        if self.peer is not None:  # the connection that was open already has ended
            self.reopened = monotonic() - self.began
        self.address = self.address or host
        refusal = self.guard.refusal(host, port, opens=self.opens)
        if refusal is not None:
            self.refusal = refusal
            return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(wanted.family, wanted.socktype, wanted.protocol)
            # A path that was cut without a word would else be noticed by the whole timeout alone.
            limit = int(self.patience * 1000)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        except OSError as error:
            self.socket_errno = error.errno or 0
            return pycurl.SOCKET_BAD
        self.opened = True
        # Detached: from here on the file handle is libcurl's, which closes it.
        self.file = opened.detach()
        return self.file

    def _before_request(self, peer: str, local: str, port: int, local_port: int) -> int:
        """Vet the peer of every request.

        A connection from the pool opens no socket, and one that was opened for the inbox kind
        must not carry the request of another webhook.

        libcurl sends a request again by itself when a connection that was kept open ends before a
        byte of the answer, which may have been read. It asks here each time: once is allowed, over
        a new connection, and noted in `again`, since most often the receiver had hung up before the
        request came. Another one that was kept open is not used (`wants_fresh`).
        """
        if self.again is not None:
            self.has_given_up = True
            return pycurl.PREREQFUNC_ABORT
        if self.peer is not None and self.reopened is None:
            self.wants_fresh = True
            return pycurl.PREREQFUNC_ABORT
        if self.peer is not None:
            self.again = monotonic() - self.began
        self.peer, self.reopened = (peer, port), None
        self.local = (local, local_port)
        if self.file >= 0:
            self.acknowledgements.note(self.local, self.file)
        refusal = self.guard.refusal(peer, port, opens=self.opens)
        if refusal is None:
            return pycurl.PREREQFUNC_OK
        self.refusal, self.opened = refusal, False
        return pycurl.PREREQFUNC_ABORT

    def _take_header(self, line: bytes) -> int | None:
        self.head_size += len(line)
        if self.head_size > MAX_HEAD or len(self.head) >= MAX_HEAD_LINES:
            self.truncated = True
            return _STOP
        self.head.append(line)
        return None

    def _take_body(self, chunk: bytes) -> int | None:
        room = MAX_BODY - len(self.body)
        self.body += chunk[:room]
        if len(chunk) <= room:
            return None
        self.truncated = True
        return _STOP


class TrustStore:
    """One PEM file with certifi's authorities and, when given, those of `ca_bundle`.

    A file and not a blob: libcurl parses a file once and keeps it, a blob for every connection.
    """

    def __init__(self, ca_bundle: str | None = None) -> None:
        self.ca_file = certifi.where()
        self._own: Path | None = None
        if ca_bundle is not None:
            self._own = _joined(certifi.where(), ca_bundle)
            self.ca_file = str(self._own)

    def close(self) -> None:
        """Remove the joined file."""
        if self._own is not None:
            self._own.unlink(missing_ok=True)


def _joined(*bundles: str) -> Path:
    handle, name = tempfile.mkstemp(prefix="ca-", suffix=".pem")
    with os.fdopen(handle, "wb") as joined:
        joined.write(b"\n".join(Path(bundle).read_bytes() for bundle in bundles))
    return Path(name)
