"""Connections that send or read a byte now and then, as one that means harm does."""

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
    """What is sent at once, and what then comes byte by byte; `reads`: one byte at a time."""

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
    """One connection of a kind."""

    kind: str
    connection: socket.socket
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        what = KINDS[self.kind]
        self._then = cycle(what.then) if what.then else None
        self.connection.sendall(what.first)

    def step(self) -> bool:
        """Send or read one byte; whether the connection still stands."""
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
    """So many of each of these kinds at a time: one that is closed is replaced at once."""

    def __init__(self, port: int, each: int, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
        super().__init__(daemon=True)
        self._port, self._each, self._kinds = port, each, kinds
        self._ended = threading.Event()
        self.lived: dict[str, list[float]] = defaultdict(list)  # seconds of those that were closed
        self.oldest: dict[str, float] = {}  # seconds of the oldest that stands

    def run(self) -> None:
        """Until the end of the block."""
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
        """Close them all."""
        self._ended.set()
        self.join(10)

    def _new(self, kind: str) -> SlowSocket:
        connection = socket.socket()
        if KINDS[kind].reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", self._port))
        return SlowSocket(kind, connection)
