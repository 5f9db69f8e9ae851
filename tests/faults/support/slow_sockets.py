"""Connections that send or read one byte at a time, as an attacker's do."""

import contextlib
import selectors
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final, Self

PAUSE: Final = 1.0  # seconds between two bytes of a connection
BIG: Final = b"GET /static/css/pages.css HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass(frozen=True)
class Kind:
    """The bytes sent at once, and the bytes repeated slowly. `reads`: read one byte at a time."""

    first: bytes = b""
    then: bytes = b""
    reads: bool = False


KINDS: Final = {
    "heads": Kind(b"GET /sign-in HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"x"),
    "bodies": Kind(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n", b"x"),
    "chunks": Kind(
        b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"
    ),
    "one long chunk": Kind(
        b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", b"x"
    ),
    "readers": Kind(BIG * 64, reads=True),
    "idle": Kind(),
}


@dataclass
class SlowSocket:
    """One slow connection."""

    kind: str
    connection: socket.socket
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        kind = KINDS[self.kind]
        self._then = cycle(kind.then) if kind.then else None
        self.connection.sendall(kind.first)

    def step(self) -> bool:
        """Send or read one byte. Return whether the connection is still open."""
        with contextlib.suppress(BlockingIOError):
            try:
                self.connection.setblocking(False)
                if self._then is not None:
                    self.connection.send(bytes([next(self._then)]))
                if KINDS[self.kind].reads:
                    return bool(self.connection.recv(1))
                return not self._is_closed()
            except ConnectionError:
                return False
        return True

    def _is_closed(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            return bool(selector.select(0)) and self.connection.recv(4096) == b""


class SlowSockets(threading.Thread):
    """A thread that keeps `each` connections of each kind open and replaces closed ones at once."""

    def __init__(self, port: int, each: int, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
        super().__init__(daemon=True)
        self._port, self._each, self._kinds = port, each, kinds
        self._ended = threading.Event()
        self.lived: dict[str, list[float]] = defaultdict(
            list
        )  # lifetimes of closed connections in seconds
        self.oldest: dict[str, float] = {}  # age of the oldest open connection in seconds

    def run(self) -> None:
        """Step all connections until the end of the block."""
        sockets = [self._new(kind) for kind in self._kinds for _ in range(self._each)]
        while not self._ended.wait(PAUSE):
            for number, one in enumerate(sockets):
                if not one.step():
                    self.lived[one.kind].append(time.monotonic() - one.began)
                    one.connection.close()
                    sockets[number] = self._new(one.kind)
            now = time.monotonic()
            self.oldest = {
                k: max(now - s.began for s in sockets if s.kind == k) for k in self._kinds
            }
        for one in sockets:
            one.connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._ended.set()
        self.join(10)

    def _new(self, kind: str) -> SlowSocket:
        connection = socket.socket()
        if KINDS[kind].reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", self._port))
        return SlowSocket(kind, connection)
