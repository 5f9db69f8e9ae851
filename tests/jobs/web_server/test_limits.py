"""Limits of one web process on connections, pending bodies, and their durations."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from waitress import wasyncore
from waitress.task import ThreadedTaskDispatcher

from jobs import web_server as web_server_module
from jobs.process_setup import raise_limit_of_open_files
from jobs.web_server import Connection, IncomingRequest, Listener, Rules
from tests.support.processes import until
from tests.support.web_server import WebServer, web_server

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEAD = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
PART = b"x" * 60_000
PLAIN = HEALTH.replace(b"Connection: close\r\n", b"")
LONG = b"x" * 32 * 1024 * 1024  # more than the kernel's buffers hold
CHUNK = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"


def answers_within(web: WebServer, seconds: float) -> bool:
    """Return whether one more connection gets a response in time."""
    with web.connect(seconds) as connection:
        connection.sendall(HEALTH)
        try:
            return connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        except TimeoutError:
            return False


def test_beyond_800_connections_new_ones_replace_the_longest_idle(
    tmp_path: Path,
) -> None:
    raise_limit_of_open_files()
    one = {"GUNICORN_CMD_ARGS": "--workers 1"}
    with web_server(tmp_path, **one) as web, ExitStack() as idle:
        connections = [idle.enter_context(web.connect()) for _ in range(820)]
        assert answers_within(web, 10)
        assert connections[0].recv(1) == b""
        connections[-1].sendall(HEALTH)
        assert connections[-1].recv(4096).startswith(b"HTTP/1.1 200 OK")
        assert "connection limit" not in web.said


def test_a_request_gets_half_a_minute_and_a_second_per_64_kb() -> None:
    for rest, more in (
        (b"\r\n", 0.0),
        (b"Content-Length: 6553600\r\n\r\n" + PART, 100.0),
        # No longer than for the longest accepted body.
        (b"Content-Length: 99999999\r\n\r\n" + PART, 272.0),
        # The length is unknown, so the received bytes count, including the chunks' size lines.
        (b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK * 16, 16.0),
    ):
        data = HEAD.partition(b"Content")[0] + rest
        with closing(IncomingRequest(Rules())) as request:
            while data:
                data = data[request.received(data) :]
            request.began = monotonic() - 30.0 - more + 9.0
            assert not request.is_late
            request.began -= 9.1
            assert request.is_late


def test_more_than_64_kb_of_chunk_overhead_is_refused() -> None:
    for chunks, is_fine in (
        (b"4;" + b"a" * 8190, True),
        (b"4;" + b"a" * 8191, False),
        (b"1\r\nx\r\n" * 16_384, True),
        (b"1\r\nx\r\n" * 16_385, False),
    ):
        data = HEAD.partition(b"Content")[0] + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        with closing(IncomingRequest(Rules())) as request:
            while data and not request.completed:
                data = data[request.received(data) :]
            assert (request.error is None) is is_fine


def test_a_malformed_chunk_after_too_long_a_body_is_no_request() -> None:
    """Otherwise, the bytes after it would count as the next request."""
    chunks = b"7d0\r\n" + b"x" * 2000 + b"\r\nx\r\n"
    data = HEAD.partition(b"Content")[0] + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
    with closing(IncomingRequest(Rules(max_request_body_size=1000))) as request:
        while data and not request.completed:
            data = data[request.received(data) :]
        assert (request.completed, request.error.code) == (True, 400)


class Reader:
    """A listener as in a web process. The test drives its loop."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.map: dict[int, Any] = {}
        self.threads = ThreadedTaskDispatcher()
        info = (self.socket.family, self.socket.type, 0, self.socket.getsockname())
        parts = (lambda *_: [], self.map, True, self.socket, self.threads, Rules())
        self.listener = Listener(*parts, sockinfo=info, bind_socket=False)

    def turn(self) -> bool:
        """Read pending data and return true, for `until`."""
        wasyncore.loop(timeout=0.01, use_poll=True, map=self.map, count=1)
        return True

    @property
    def kept(self) -> list[int]:
        """Return the bytes held of each body, the oldest connection first."""
        connections = sorted(self.listener.connections(), key=lambda each: each.began)
        return [connection.kept for connection in connections]

    @contextmanager
    def connection(self, data: bytes = b"") -> Iterator[tuple[socket.socket, Connection]]:
        """Yield a connection from which this much has been read: its other end and ours."""
        with socket.create_connection(self.socket.getsockname(), timeout=10) as client:
            client.sendall(data)
            assert until(lambda: self.turn() and len(self.listener.connections()) == 1, 10)
            (ours,) = self.listener.connections()
            assert until(lambda: self.turn() and (not data or ours.requests or ours.request), 10)
            yield client, ours
            if ours.connected:
                ours.handle_close()

    @property
    def waiting(self) -> int:
        """Count the requests that wait for a thread."""
        return sum(len(connection.requests) for connection in self.listener.connections())


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.threads.shutdown()
    wasyncore.close_all(made.map)


def test_among_too_many_pending_bodies_the_oldest_are_dropped(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert web_server_module.MOST_KEPT == 512 * 1024 * 1024
    monkeypatch.setattr(web_server_module, "MOST_KEPT", 3 * len(PART))
    with ExitStack() as all_of_them:
        senders = []
        for number, part in enumerate((b"", PART, PART, PART)):
            senders.append(
                all_of_them.enter_context(
                    socket.create_connection(reader.socket.getsockname(), timeout=5)
                )
            )
            senders[-1].sendall(HEAD + part)
            held = [0, *[len(PART)] * number]
            assert until(lambda: reader.turn() and reader.kept == held, 10)  # noqa: B023 - called at once
        reader.listener.maintenance(0.0)
        assert reader.turn()
        assert reader.kept == [0, *[len(PART)] * 3], "there is room for all"
        monkeypatch.setattr(web_server_module, "MOST_KEPT", 2 * len(PART))
        reader.listener.maintenance(0.0)
        assert until(lambda: reader.turn() and reader.kept == [0, *[len(PART)] * 2], 10)
        assert senders[1].recv(100) == b"", "the first that keeps something is closed"
        senders[2].sendall(b"x")
        assert until(lambda: reader.turn() and reader.kept == [0, len(PART) + 1, len(PART)], 10)


def test_a_body_counts_until_it_is_complete(reader: Reader) -> None:
    with reader.connection(HEAD.replace(b"900000", b"130000") + PART) as (client, _):
        assert until(lambda: reader.turn() and reader.kept == [len(PART)], 10)
        client.sendall(b"x" * (130_000 - len(PART)))
        assert until(lambda: reader.turn() and reader.waiting == 1, 10)
        assert reader.kept == [0]


def test_no_byte_of_too_long_a_body_is_kept(reader: Reader) -> None:
    with reader.connection(HEAD.replace(b"900000", b"18874368")) as (client, connection):
        client.sendall(PART)
        request = connection.request
        assert request is not None
        assert until(lambda: reader.turn() and request.body_bytes_received == len(PART), 10)
        assert (reader.kept, len(request.get_body_stream().read())) == ([0], 0)


@pytest.mark.parametrize(("many", "is_ended"), [(8, False), (9, True)])
def test_the_ninth_pipelined_request_ends_the_connection(
    reader: Reader, many: int, *, is_ended: bool
) -> None:
    with socket.create_connection(reader.socket.getsockname(), timeout=5) as impatient:
        impatient.sendall(HEALTH * many)
        assert until(lambda: reader.turn() and reader.waiting == many, 10)
        (connection,) = reader.listener.connections()
        assert connection.will_close is is_ended


@pytest.mark.parametrize(
    ("data", "answer", "is_kept"),
    [
        (b"", b"", False),
        (HEAD, b"", False),  # the request comes too slowly
        (PLAIN, b"", True),  # a thread is at work and can take long
        (PLAIN, LONG, False),  # the client doesn't read the response
    ],
)
def test_a_connection_idle_for_130_seconds_is_closed_unless_it_waits(
    reader: Reader, data: bytes, answer: bytes, *, is_kept: bool
) -> None:
    with reader.connection(data) as (_, connection):
        connection.write_soon(answer)
        rested_at = connection.last_activity
        assert not connection.is_overdue(rested_at + 129.9)
        assert connection.is_overdue(rested_at + 130.1) is not is_kept


@pytest.mark.parametrize("answer", [b"", LONG], ids=["idle", "nobody takes what is written"])
def test_a_full_server_closes_the_longest_idle_connection_only(
    reader: Reader, answer: bytes
) -> None:
    reader.listener.adj.connection_limit = 8  # 6 without the listener and its trigger
    with reader.connection(PLAIN) as (_, waiting), ExitStack() as others:
        taken = [waiting]
        for _ in range(5):
            others.enter_context(socket.create_connection(reader.socket.getsockname(), timeout=5))
            assert until(lambda: reader.turn() and reader.listener.connections()[-1] not in taken)
            taken.append(reader.listener.connections()[-1])
            others.callback(taken[-1].handle_close)
            taken[-1].write_soon(answer)
        assert until(lambda: reader.turn() and not taken[2].connected)
        assert [connection.connected for connection in taken] == [
            True,
            False,
            False,
            True,
            True,
            True,
        ]


def test_a_request_that_comes_too_slowly_is_overdue(reader: Reader) -> None:
    with reader.connection(HEAD) as (_, connection):
        assert connection.request is not None
        connection.request.began -= 60
        assert connection.is_overdue(connection.last_activity)


@pytest.mark.parametrize(
    ("data", "answer", "is_closed"),
    [(b"", b"", True), (HEAD, b"", False), (PLAIN, b"", False), (b"", LONG, False)],
)
def test_at_the_end_of_a_process_only_idle_connections_are_closed(
    reader: Reader, data: bytes, answer: bytes, *, is_closed: bool
) -> None:
    with reader.connection(data) as (_, connection):
        connection.write_soon(answer)
        connection.close_if_idle()
        assert connection.will_close is is_closed


def say_ok(_: Any, start: Any) -> list[bytes]:
    """Respond with two letters."""
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def test_requests_waiting_at_the_end_of_a_process_are_answered(
    reader: Reader,
) -> None:
    reader.listener.application = say_ok
    with reader.connection(PLAIN * 3) as (client, connection):
        connection.end()
        reader.threads.set_thread_count(1)
        assert until(lambda: reader.turn() and not reader.listener.connections(), 10)
        first, second, last = client.makefile("rb").read().split(b"HTTP/1.1 200 OK")[1:]
    assert [b"Connection: close" in part for part in (first, second, last)] == [False, False, True]


def test_a_request_during_the_end_of_a_process_is_its_connections_last(
    reader: Reader,
) -> None:
    reader.listener.application = say_ok
    reader.listener.adj.is_ending = True
    reader.threads.set_thread_count(1)
    with reader.connection() as (client, _):
        client.sendall(PLAIN)
        assert until(lambda: reader.turn() and not reader.listener.connections(), 10)
        assert b"\r\nConnection: close\r\n" in client.recv(1000)


def test_an_application_error_is_not_logged_as_a_refusal(
    reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    reader.threads.set_thread_count(1)
    codes = []
    for request in (PLAIN, PLAIN.replace(b"1.1", b"2.0")):
        # The application of this listener starts no response.
        with reader.connection() as (client, _):
            client.sendall(request)
            assert until(lambda: reader.turn() and not reader.listener.connections(), 10)
            codes.append(client.recv(100).partition(b"\r\n")[0])
    assert codes == [b"HTTP/1.1 500 Internal Server Error", b"HTTP/1.0 400 Bad Request"]
    messages = [
        record.getMessage()
        for record in caplog.records
        if record.name == web_server_module.log.name
    ]
    assert messages == ["Refused from 127.0.0.1: 400 Bad Request"]


@contextmanager
def web_process(application: Any) -> Iterator[tuple[web_server_module.WebWorker, Any]]:
    """Run a web process's worker in a thread. Yield it and its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        log, sockets = logging.getLogger(__name__), [SimpleNamespace(sock=server)]
        made = web_server_module.WebWorker(1, os.getppid(), sockets, None, 30, Config(), log)
        made.wsgi = application
        assert made.is_turning()  # its first heartbeat can come before its first turn
        thread = threading.Thread(target=made.run, daemon=True)
        thread.start()
        try:
            yield made, server.getsockname()
        finally:
            made.alive = False
            thread.join(10)
            made.tmp.close()
            made._listeners[0].task_dispatcher.shutdown()
            wasyncore.close_all(made._map)
    assert not thread.is_alive()


def test_the_process_itself_closes_idle_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert web_server_module.IDLE == 130.0
    monkeypatch.setattr(web_server_module, "IDLE", 0.0)
    monkeypatch.setattr(web_server_module, "LOOK_EVERY", 0.02)
    with (
        web_process(lambda *_: []) as (_, address),
        socket.create_connection(address, timeout=10) as silent,
    ):
        assert silent.recv(1) == b""


def test_an_ending_process_marks_its_pending_response_as_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_server_module, "LOOK_EVERY", 0.02)
    has_begun, may_end = threading.Event(), threading.Event()

    def answer(asked: Any, start: Any) -> list[bytes]:
        has_begun.set()
        may_end.wait(10)
        return say_ok(asked, start)

    with (
        web_process(answer) as (process, address),
        socket.create_connection(address, timeout=10) as client,
    ):
        client.sendall(PLAIN)
        assert has_begun.wait(10)
        ((request,),) = [connection.requests for connection in process._connections()]
        process.alive = False
        assert until(lambda: request.headers.get("CONNECTION") == "close", 10)
        may_end.set()
        assert b"\r\nConnection: close\r\n" in client.makefile("rb").read()
