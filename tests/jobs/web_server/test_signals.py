"""gunicorn stays the master: reload, end, wrong keys, and its timeout work as usual."""

import base64
import http.client
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import children_of, is_alive, until
from tests.support.web_server import WebServer, web_server

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf"


class Visitor(threading.Thread):
    """A person who opens a page repeatedly and collects failures.

    `keeps`: stay on one connection until the server announces its close.
    """

    def __init__(self, port: int, *, keeps: bool) -> None:
        super().__init__(daemon=True)
        self.port, self.keeps = port, keeps
        self.answers, self.failures = 0, list[str]()
        self.ended = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {} if self.keeps else {"Connection": "close"}
        while not self.ended.wait(0.01):
            try:
                # It reconnects by itself after a response with “Connection: close”.
                connection.request("GET", "/sign-in", headers=headers)
                answer = connection.getresponse()
                assert (answer.status, len(answer.read()) > 1000) == (200, True)
                self.answers += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(repr(error))
                connection.close()
        connection.close()


@contextmanager
def visitors(web: WebServer) -> Iterator[list[Visitor]]:
    """Run four people at work and assert that none saw a failure."""
    people = [Visitor(web.port, keeps=keeps) for keeps in (True, True, False, False)]
    for person in people:
        person.start()
    try:
        yield people
    finally:
        for person in people:
            person.ended.set()
            person.join(20)
    assert [failure for person in people for failure in person.failures] == []


def answer_on(connection: socket.socket, end: bytes) -> bytes:
    """Return the data up to these bytes or the end of the connection."""
    data = b""
    while end not in data and (more := connection.recv(4096)):
        data += more
    return data


def have_answers(people: list[Visitor], enough: list[int]) -> bool:
    """Return whether each person has seen this many pages."""
    return all(person.answers >= many for person, many in zip(people, enough, strict=True))


def reload(web: WebServer) -> None:
    """Reload as `systemctl reload` does and wait until the old processes are gone."""
    old = set(children_of(web.process.pid))
    web.process.process.send_signal(signal.SIGHUP)
    assert until(lambda: not old & set(children_of(web.process.pid)), 40)


def test_a_restart_with_a_waiting_socket_fails_no_page(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as waiting:
        web = WebServer(tmp_path, waiting)
        try:
            with visitors(web) as people:
                assert until(lambda: have_answers(people, [3] * 4), 30)
                assert web.process.stop() == 0
                web = WebServer(tmp_path, waiting)
                enough = [person.answers + 3 for person in people]
                assert until(lambda: have_answers(people, enough), 30)
            assert web.process.stop() == 0
        finally:
            web.process.close()


def test_a_request_on_a_kept_connection_is_answered_while_the_process_ends(
    web: WebServer,
) -> None:
    with web.connect() as connection:
        connection.sendall(HEALTH)
        assert b"Connection: close" not in answer_on(connection, b"\r\n\r\nok\n")
        os.kill(web.process.pid, signal.SIGHUP)
        answer, end = b"", time.monotonic() + 30
        # The new processes start first. The old one announces its end in its next response.
        while b"\r\nConnection: close\r\n" not in answer and time.monotonic() < end:
            connection.sendall(HEALTH)
            answer = answer_on(connection, b"\r\n\r\nok\n")
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            time.sleep(0.05)
        assert b"\r\nConnection: close\r\n" in answer
        assert connection.recv(4096) == b""


def test_a_stopping_server_finishes_requests_and_closes_idle_connections(tmp_path: Path) -> None:
    with web_server(tmp_path) as web, web.connect() as resting, web.connect() as begun:
        resting.sendall(HEALTH)
        assert answer_on(resting, b"\r\n\r\nok\n").startswith(b"HTTP/1.1 200")
        begun.sendall(HALF)
        time.sleep(0.3)
        web.process.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        begun.sendall(b"rest")
        assert begun.recv(65_536).startswith(b"HTTP/1.1 400")
        assert web.process.wait(8) == 0
        assert resting.recv(4096) == b""


def test_an_unfinished_request_delays_the_end_only_for_gunicorns_timeout(tmp_path: Path) -> None:
    with web_server(tmp_path) as web, web.connect() as begun:
        begun.sendall(HALF)
        time.sleep(0.3)
        web.process.process.send_signal(signal.SIGTERM)
        assert web.process.wait(14) == 0


def test_wrong_keys_end_the_whole_server(tmp_path: Path) -> None:
    with web_server(tmp_path):
        pass
    other = base64.urlsafe_b64encode(b"another key of thirty-two bytes!").decode()
    web = WebServer(tmp_path, ENCRYPTION_KEYS=other)
    try:
        assert web.process.wait(30) == 3
        assert "ENCRYPTION_KEYS" in web.said
    finally:
        web.process.close()


def test_a_hanging_process_is_replaced_and_an_idle_one_is_not(tmp_path: Path) -> None:
    with web_server(tmp_path, GUNICORN_CMD_ARGS="--timeout 2") as web:
        # The first of the two can answer before the second has started.
        assert until(lambda: len(children_of(web.process.pid)) == 2, 20)
        before = set(children_of(web.process.pid))
        time.sleep(3.5)
        assert set(children_of(web.process.pid)) == before
        hanging = min(before)
        os.kill(hanging, signal.SIGSTOP)
        assert until(lambda: not is_alive(hanging), 20)
        assert until(lambda: len(children_of(web.process.pid)) == len(before), 20)
        assert until(web.answers, 20)


def test_the_processes_end_with_their_master(tmp_path: Path) -> None:
    web = WebServer(tmp_path)
    try:
        assert until(web.answers, 30), web.said
        children = list(children_of(web.process.pid))
        web.process.stop(signal.SIGKILL)
        assert until(lambda: not any(map(is_alive, children)), 5)
    finally:
        web.process.close()
