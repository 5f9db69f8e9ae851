"""A reusable libcurl handle with its options, callbacks, and limits."""

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
_EVENTS_A_POLL = 64  # before finished requests are collected, so that none waits long for others
# https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h: struct tcp_info begins
# with eight bytes and four numbers of four bytes. Next is the number of unacknowledged segments.
UNACKED: Final = slice(24, 28)

Local = tuple[str, int]


class Sockets:
    """The sockets of one multi handle, by file descriptor.

    A socket that libcurl doesn't use for now stays registered because most are soon reused. The
    system unregisters a closed socket itself, so its number can be reused.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._registered: set[int] = set()
        self._resting: set[int] = set()
        self._watched: set[int] = set()
        self.readable: set[int] = set()

    def watch(self, fd: int) -> None:
        """Also wake up for a descriptor that isn't libcurl's. `readable` has the readable ones."""
        self._watched.add(fd)
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Stop watching a descriptor that isn't libcurl's."""
        self._watched.discard(fd)
        self.readable.discard(fd)
        with suppress(OSError):  # closed, so already unregistered
            self._epoll.unregister(fd)

    @property
    def is_watching(self) -> bool:
        """Return whether a descriptor that isn't libcurl's is watched."""
        return bool(self._watched)

    def note(self, event: int, fd: int, _multi: object = None, _data: object = None) -> None:
        """Watch the socket for this `pycurl.POLL_…`, or stop. Callback of libcurl."""
        if event == pycurl.POLL_REMOVE:
            self._resting.add(fd)
            return
        self._resting.discard(fd)
        if fd in self._registered:
            with suppress(FileNotFoundError):  # its number belonged to another socket
                self._epoll.modify(fd, _TO_EPOLL[event])
                return
        self._epoll.register(fd, _TO_EPOLL[event])
        self._registered.add(fd)

    def ready(self, wait: float) -> list[tuple[int, int]]:
        """Return sockets that are ready within `wait` seconds as (number, mask)."""
        sockets = []
        for fd, events in self._epoll.poll(wait, _EVENTS_A_POLL):
            if fd in self._watched:
                self.readable.add(fd)
                continue
            if fd in self._resting:  # closed by the receiver. libcurl checks before a reuse.
                self._forget(fd)
                continue
            mask = pycurl.CSELECT_IN if events & _READABLE else 0
            sockets.append((fd, mask | pycurl.CSELECT_OUT if events & select.EPOLLOUT else mask))
        return sockets

    def close(self) -> None:
        self._epoll.close()

    def _forget(self, fd: int) -> None:
        self._resting.remove(fd)
        self._registered.remove(fd)
        self._epoll.unregister(fd)


class Acknowledgements:
    """The sockets of one transport, by their local address and port.

    For a request in progress, libcurl reports the local address but not the socket. A descriptor
    can belong to another socket by now, so the address is compared.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._files: dict[Local, int] = {}

    def note(self, local: Local, file: int) -> None:
        """Record an open connection."""
        self._files[local] = file
        if len(self._files) > self._capacity:
            del self._files[next(iter(self._files))]

    def is_missing(self, local: Local | None) -> bool:
        """Return whether data from this address is known to be unacknowledged."""
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
            known.detach()  # it belongs to libcurl


MAX_BODY = 64 * 1024
"""Bytes of a response's body that are read before the connection is dropped."""
MAX_HEAD = 64 * 1024
"""Bytes of all header lines together, including informational responses (1xx)."""
MAX_HEAD_LINES = 1000
CONNECT_TIMEOUT = 5.0
MAX_IDLE = 60
MAX_CONNECTION_AGE = 300

_STOP = 0
"""A callback's result that ends the transfer, because it is less than the bytes it got."""

_FIXED_OPTIONS = {
    pycurl.NOSIGNAL: 1,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.FOLLOWLOCATION: 0,
    pycurl.PATH_AS_IS: 1,
    pycurl.POST: 1,
    # We set all headers. An empty User-Agent keeps libcurl from adding its own.
    pycurl.USERAGENT: "",
    # The environment's proxies and .netrc aren't meant for webhooks.
    pycurl.PROXY: "",
    pycurl.NOPROXY: "*",
    pycurl.NETRC: 0,
    pycurl.HTTP_CONTENT_DECODING: 0,
    pycurl.SSL_VERIFYPEER: 1,
    pycurl.SSL_VERIFYHOST: 2,
    pycurl.OPT_CERTINFO: 1,
    pycurl.TCP_NODELAY: 1,
    pycurl.DNS_CACHE_TIMEOUT: CACHE_SECONDS,
    # Most servers drop an idle connection after a minute. The maximum age lets a receiver move.
    pycurl.MAXAGE_CONN: MAX_IDLE,
    pycurl.MAXLIFETIME_CONN: MAX_CONNECTION_AGE,
}


class Order(NamedTuple):
    """A request that was queued at `began` (monotonic). `timeout` in seconds covers all of it.

    `url` and `headers` are checked and in libcurl's format. `opens` is passed to the guard.
    `is_fresh`: uses a new connection, so that it has every phase. `patience`: seconds to connect,
    and for the receiver to acknowledge data.
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
    """A libcurl easy handle with the data that its callbacks collect for one request."""

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
        """Forget the last request, so that an idle handle keeps no data of it."""
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
        """Send nothing. Requests end once connected, and their connection isn't reused."""
        self.curl.setopt(pycurl.CONNECT_ONLY, 1)
        self.curl.setopt(pycurl.FORBID_REUSE, 1)
        self.curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)

    def load(self, order: Order, waited: float) -> None:
        """Set the options that differ between requests. `waited`: seconds since `began`."""
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
        if limits != self.limits:  # they rarely change
            self.limits = limits
            setopt(pycurl.FRESH_CONNECT, int(order.is_fresh))
            setopt(pycurl.TIMEOUT_MS, max(1, limits[1]))
            setopt(pycurl.CONNECTTIMEOUT_MS, max(1, limits[2]))

    def begin_again(self) -> None:
        """Prepare the same request for a new connection.

        The connection that was open has ended, and other open ones might have ended too.
        """
        assert self.order is not None  # noqa: S101 -- a loaded handle always has one
        self.wants_fresh, self.reopened = False, monotonic() - self.began
        self.load(self.order._replace(is_fresh=True), waited=self.reopened)

    @property
    def has_address(self) -> bool:
        """Return whether the name has been resolved or a connection was already open."""
        return self.opened or self.refusal is not None or self.socket_errno != 0 or self.is_reused

    @property
    def is_reused(self) -> bool:
        """Return whether the request uses a connection that was already open."""
        return self.peer is not None and not self.opened

    @property
    def is_unheard(self) -> bool:
        """Return whether there is no sign of a working path to the receiver.

        There is no connection, or the request on it wasn't acknowledged.
        """
        if self.is_connecting:
            return True
        return not self.head and self.acknowledgements.is_missing(self.local)

    @property
    def is_connecting(self) -> bool:
        """Return whether the request has no connection, or lost one that was already open."""
        return self.peer is None or self.reopened is not None

    @property
    def may_have_arrived(self) -> bool:
        """Return whether any part of the request was sent over a connection."""
        return self.peer is not None

    def _open_socket(self, _purpose: int, wanted: pycurl.CurlSockAddr) -> int:
        """Check each address before any packet is sent. If refused, libcurl tries the next one."""
        host, port = str(wanted.addr[0]), int(wanted.addr[1])
        if self.peer is not None:  # the connection that was already open has ended
            self.reopened = monotonic() - self.began
        self.address = self.address or host
        refusal = self.guard.refusal(host, port, opens=self.opens)
        if refusal is not None:
            self.refusal = refusal
            return pycurl.SOCKET_BAD
        try:
            opened = socket.socket(wanted.family, wanted.socktype, wanted.protocol)
            # Otherwise, only the full timeout would reveal a path that was silently cut.
            limit = int(self.patience * 1000)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        except OSError as error:
            self.socket_errno = error.errno or 0
            return pycurl.SOCKET_BAD
        self.opened = True
        # Detached, because libcurl owns and closes the file handle from here on.
        self.file = opened.detach()
        return self.file

    def _before_request(self, peer: str, local: str, port: int, local_port: int) -> int:
        """Check the peer of every request.

        A connection from the pool opens no socket, and one that was opened for the inbox kind must
        not carry another webhook's request.

        If a reused connection ends before the first byte of a response, libcurl resends the request
        on its own, although the receiver might have read it. libcurl calls this each time. One
        resend over a new connection is allowed and recorded in `again`, because the receiver has
        usually closed the connection before the request arrived. Another reused connection is
        refused (`wants_fresh`).
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
    """One PEM file with certifi's authorities and, if given, those of `ca_bundle`.

    libcurl parses a file only once, but a blob for every connection.
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
