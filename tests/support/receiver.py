"""A real HTTP receiver on loopback that records every request and sends scripted responses.

In a test: `with Receiver() as receiver: ...`. As a separate process, which checks signatures with
only the standard library:
`python -m tests.support.receiver --port N --secret S [--log FILE]`.
"""

import asyncio
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Received:
    """One received request. `headers` keep their order, and `at` is on the monotonic clock."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: float

    def header(self, name: str) -> str | None:
        """Return the first header of that name, ignoring case."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the receiver, sent after `delay` seconds."""

    status: int = 200
    body: bytes = b""
    headers: Headers = ()
    delay: float = 0.0

    def as_bytes(self) -> bytes:
        """Return the response as bytes."""
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Odd"
        lines = [f"HTTP/1.1 {self.status} {phrase}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


OK = Answer()


class _Connection(asyncio.Protocol):
    """A persistent connection that reads requests with a Content-Length one by one."""

    def __init__(self, receiver: "Receiver") -> None:
        self.receiver = receiver
        self.buffer = b""
        self.is_answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.receiver.connections.add(transport)
        self.receiver.connections_seen += 1

    def connection_lost(self, _error: Exception | None) -> None:
        self.receiver.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.read_requests()

    def read_requests(self) -> None:
        while not self.is_answering:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            request_line, *lines = head.decode("latin-1").split("\r\n")
            headers = tuple((n, v.strip()) for n, _, v in (line.partition(":") for line in lines))
            size = int(next((v for n, v in headers if n.lower() == "content-length"), "0"))
            if len(rest) < size:
                return
            self.buffer = rest[size:]
            method, path, _ = request_line.split(" ", 2)
            self.take(Received(method, path, headers, rest[:size], time.monotonic()))

    def take(self, received: Received) -> None:
        answer = self.receiver.answer_to(received)
        if not answer.delay:
            self.give(received, answer)
            return
        self.is_answering = True
        asyncio.get_running_loop().call_later(answer.delay, self.answer_late, received, answer)

    def answer_late(self, received: Received, answer: Answer) -> None:
        self.is_answering = False
        if not self.transport.is_closing():
            self.give(received, answer)
            self.read_requests()

    def give(self, received: Received, answer: Answer) -> None:
        self.receiver.answered.append((received, answer.status))
        self.transport.write(answer.as_bytes())


class Receiver:
    """A receiver in its own thread.

    `received` holds the requests in order. `answered` holds those whose sender was still connected
    for the response, with its code. `stop()` refuses connections and drops open ones. `start()`
    listens again on the same port. With `tls`, `url` is an https address.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        answerer: Callable[[Received], Answer | None] | None = None,
    ) -> None:
        self.host, self.port, self._tls = host, port, tls
        self.received: list[Received] = []
        self.answered: list[tuple[Received, int]] = []
        self.connections: set[asyncio.Transport] = set()
        self.connections_seen = 0
        self._answerer = answerer
        self._default = OK
        self._queue: deque[Answer] = deque()
        self._arrived = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Return the URL of the receiver's root."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/"

    def answer(
        self, status: int = 200, body: bytes = b"", headers: Headers = (), delay: float = 0.0
    ) -> None:
        """Set the response to all coming requests."""
        self._default = Answer(status, body, headers, delay)

    def answer_next(
        self, status: int = 200, body: bytes = b"", headers: Headers = (), delay: float = 0.0
    ) -> None:
        """Set the response to one coming request. Several calls queue up."""
        self._queue.append(Answer(status, body, headers, delay))

    def calm(self) -> None:
        """Drop all queued responses, and go back to 200."""
        self._queue.clear()
        self._default = OK

    def answer_to(self, received: Received) -> Answer:
        """Record the request and choose its response. Called on the receiver's thread."""
        special = self._answerer(received) if self._answerer else None
        if special is not None:
            return special
        answer = self._queue.popleft() if self._queue else self._default
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        return answer

    def wait_for(self, count: int, timeout: float = 5) -> list[Received]:
        """Wait for the first `count` requests. Fails if they take more than `timeout` seconds."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.received) >= count, timeout)
            assert arrived, f"{len(self.received)} of {count} requests arrived in {timeout} s"
            return self.received[:count]

    def start(self) -> Self:
        """Listen, on the same port as before if there was one."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(5), f"the receiver could not listen on port {self.port}"
        return self

    def stop(self) -> None:
        """Refuse new connections and drop the open ones."""
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, started: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(
            loop.create_server(
                lambda: _Connection(self), self.host, self.port, ssl=self._tls, backlog=1024
            )
        )
        self.port = server.sockets[0].getsockname()[1]
        self._loop = loop
        started.set()
        loop.run_forever()
        # A socket accepted just now becomes a connection in the loop's next iteration, or never if
        # the server is closed by then.
        for listening in server.sockets:
            loop.remove_reader(listening.fileno())
        loop.run_until_complete(asyncio.sleep(0.003))
        server.close()
        # connection_made runs an iteration later, and an aborted socket closes one after that.
        for _ in range(3):
            loop.run_until_complete(asyncio.sleep(0.003))
            for transport in list(self.connections):
                transport.abort()
        loop.run_until_complete(asyncio.sleep(0.003))
        loop.close()


if __name__ == "__main__":
    from tests.support.receiver_process import main

    main()
