"""A raw socket server and scripts for receivers that misbehave."""

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

Script = Callable[["Visit"], None]

OK_HEAD = b"HTTP/1.1 200 OK\r\n"
MEGABYTE = 1024 * 1024


class Visit:
    """One connection to a hostile server."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self.socket, self._stopped = connection, stopped

    def read_request(self) -> bytes:
        """Read one request with its whole body."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < size:
            body += self._more()
        return head + b"\r\n\r\n" + body

    def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError if the client hangs up."""
        self.socket.sendall(data)

    def drip(self, pieces: Iterable[bytes], pause: float = 0.05) -> None:
        """Send the pieces slowly one by one, at most 200 of them."""
        for _, piece in zip(range(200), pieces, strict=False):
            self.send(piece)
            if self._stopped.wait(pause):
                return

    def hang(self) -> None:
        """Send nothing until the test ends, or for 20 seconds."""
        self._stopped.wait(20)

    def reset(self) -> None:
        """Break the connection with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the visitor hung up")
        return data


class HostileServer:
    """A server that plays one script to every client, each in its own thread."""

    def __init__(self, script: Script, host: str = "127.0.0.1", port: int = 0) -> None:
        self._script = script
        self._stopped = threading.Event()
        self._listener = socket.create_server((host, port), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}/"
        self.visits = 0
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self.stop_listening()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def stop_listening(self) -> None:
        """Refuse new connections from now on."""
        # Closing alone doesn't wake the thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            self._connections.append(connection)
            thread = threading.Thread(target=self._play, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, connection: socket.socket) -> None:
        # These scripts make clients hang up.
        with connection, suppress(OSError):
            connection.settimeout(10)
            self._script(Visit(connection, self._stopped))


def answering(*pieces: bytes) -> Script:
    """Return a script that reads the request, sends these bytes, and hangs up."""

    def script(visit: Visit) -> None:
        visit.read_request()
        visit.send(b"".join(pieces))

    return script


def dripping(head: bytes, piece: bytes) -> Script:
    """Return a script that sends the head, then drips the piece until the client hangs up."""

    def script(visit: Visit) -> None:
        visit.read_request()
        visit.send(head)
        visit.drip(piece for _ in range(200))

    return script


def pouring(head: bytes, piece: bytes, times: int) -> Script:
    """Return a script that sends the head, then the piece `times` times at full speed."""

    def script(visit: Visit) -> None:
        visit.read_request()
        visit.send(head)
        for _ in range(times):
            visit.send(piece)

    return script


def hanging(visit: Visit) -> None:
    """Read the request and never answer."""
    visit.read_request()
    visit.hang()


def silent(visit: Visit) -> None:
    """Accept, then neither read nor write."""
    visit.hang()


def resetting(visit: Visit) -> None:
    """Read the request, then break the connection."""
    visit.read_request()
    visit.reset()


def hanging_up(visit: Visit) -> None:
    """Read the request, then close without a response."""
    visit.read_request()


def cutting_the_body(visit: Visit) -> None:
    """Promise a hundred bytes, send two, hang up."""
    visit.read_request()
    visit.send(OK_HEAD + b"Content-Length: 100\r\n\r\nok")


def answering_once_then_closing(visit: Visit) -> None:
    """Answer one request as if the connection stayed open, then close it."""
    visit.read_request()
    visit.send(OK_HEAD + b"Content-Length: 2\r\n\r\nok")


def answering_once_then_hanging_up_on_the_next(visit: Visit) -> None:
    """Answer one request, read the next one, and close without an answer."""
    answering_once_then_closing(visit)
    visit.read_request()
