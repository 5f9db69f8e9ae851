"""Probes get their response whatever the pages wait for."""

import os
import select
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

from sqlalchemy import create_engine, text

from tests.conftest import migrate_to_head
from tests.support.processes import children_of, is_alive
from tests.support.servers import PostgresServer
from tests.support.web_server import web_server

GET = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
PROBES = {b"/healthz": b"200 OK", b"/readyz?for=pages": b"200 OK", b"/readyz?for=x": b"400 BAD"}


def test_probes_are_answered_while_every_page_waits_for_a_locked_table(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.new_database()
    migrate_to_head(url, tmp_path)
    engine = create_engine(url)
    with (
        web_server(tmp_path, DATABASE_URL=url) as web,
        engine.connect() as other,
        other.begin() as locked,
        ExitStack() as connections,
    ):
        other.execute(text("LOCK TABLE links"))
        pages = [connections.enter_context(web.connect()) for _ in range(40)]
        for page in pages:  # more than the 16 threads
            page.sendall(GET % b"/setup?token=unknown")
        for probe, status in PROBES.items():
            took = []
            for _ in range(20):  # two processes take turns
                began = monotonic()
                assert b"HTTP/1.1 " + status in web.exchange(GET % probe)
                took.append(monotonic() - began)
            assert min(took) <= 0.05, took
        assert select.select(pages, [], [], 0)[0] == []
        locked.rollback()
    engine.dispose()


def test_no_process_answers_before_its_readiness_is_known(tmp_path: Path) -> None:
    hangs = str(tmp_path / "hangs.sock")
    with socket.socket(socket.AF_UNIX) as redis:
        redis.bind(hangs)
        redis.listen()  # each readiness check takes long
        with web_server(tmp_path, REDIS_URL=f"unix://{hangs}") as web:
            answers = [web.exchange(GET % b"/readyz?for=pages") for _ in range(20)]
            old = children_of(web.process.pid)
            os.kill(web.process.pid, signal.SIGHUP)
            while any(map(is_alive, old)):
                answers.append(web.exchange(GET % b"/readyz?for=pages"))
            answers += [web.exchange(GET % b"/readyz?for=pages") for _ in range(20)]
    assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
