"""Bodies that come in lie in memory and in files: of too many the first begun are given up."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from waitress import wasyncore
from waitress.task import ThreadedTaskDispatcher

from jobs import web_server as web_server_module
from jobs.web_server import Listener, Rules

KB, MB = 1024, 1024 * 1024
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Server:
    """The loop of a web process, turned by the test; its application only counts."""

    def __init__(self) -> None:
        self.map: dict[int, Any] = {}
        self.asked: list[int] = []
        self.threads = ThreadedTaskDispatcher()
        self.threads.set_thread_count(1)
        sock = socket.create_server(("127.0.0.1", 0))
        self.address = sock.getsockname()
        info = (sock.family, sock.type, sock.proto, self.address)
        self.listener = Listener(
            *(self.application, self.map, True, sock, self.threads, Rules()),
            sockinfo=info,
            bind_socket=False,
        )

    def application(self, environ: dict[str, Any], start: Any) -> list[bytes]:
        """Say how long the body is."""
        self.asked.append(int(environ["CONTENT_LENGTH"]))
        start("200 OK", [("Content-Length", "0")])
        return [b""]

    def send(self, length: int, part: bytes) -> socket.socket:
        """A connection that has sent the head, and this much of the body."""
        connection = socket.create_connection(self.address, timeout=10)
        connection.sendall(HEAD % length + part)
        sent = self.come() + len(part)
        count = len(self.listener.connections()) + 1
        self.turn_until(lambda: self.come() == sent and len(self.listener.connections()) == count)
        return connection

    def come(self) -> int:
        """The bytes that have come of all bodies."""
        requests = [each.request for each in self.listener.connections()]
        return sum(each.body_bytes_received for each in requests if each is not None)

    def kept(self) -> int:
        """The bytes of all bodies that are held."""
        return sum(each.kept for each in self.listener.connections())

    def turn_until(self, condition: Any, seconds: float = 10) -> None:
        """Let the loop read and write until it is so."""
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            wasyncore.loop(timeout=0.05, use_poll=True, map=self.map, count=1)
        assert condition()

    def close(self) -> None:
        """End it."""
        self.threads.shutdown()
        for each in list(self.map.values()):
            each.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended it without a word."""
    connection.settimeout(0.1)
    try:
        return connection.recv(100) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_what_has_come_of_a_body_counts_until_its_request_is_read(server: Server) -> None:
    with server.send(200 * KB, b"x" * 70_000) as connection:
        server.turn_until(lambda: server.kept() == 70_000)
        connection.sendall(b"x" * (200 * KB - 70_000))
        server.turn_until(lambda: server.asked == [200 * KB])
        assert server.kept() == 0


def test_of_what_is_too_long_nothing_is_kept(server: Server) -> None:
    part = b"x" * MB
    with server.send(18 * MB, part) as connection:
        connection.sendall(part)
        server.turn_until(lambda: server.come() == 2 * MB)
        assert server.kept() == 0
        (request,) = [each.request for each in server.listener.connections()]
        assert request is not None
        assert len(request.get_body_stream().read()) == 0


def test_of_too_many_the_first_begun_are_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server_module, "MOST_KEPT", 250_000)
    with (
        server.send(MB, b"") as bare,
        server.send(MB, b"x" * 100_000) as first,
        server.send(MB, b"x" * 100_000) as second,
        server.send(MB, b"x" * 40_000) as third,
    ):
        server.listener.maintenance(time.time())
        server.turn_until(lambda: True)
        assert not any(map(is_closed, (first, second, bare, third))), "there is room for all"
        monkeypatch.setattr(web_server_module, "MOST_KEPT", 150_000)
        server.listener.maintenance(time.time())
        server.turn_until(lambda: len(server.listener.connections()) == 3)
        assert [is_closed(each) for each in (first, second, bare, third)] == [
            *(True, False, False, False)
        ]
