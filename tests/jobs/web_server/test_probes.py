"""Those who watch the portal are told what is so."""

import os
import signal
import socket
from pathlib import Path

from tests.support.processes import children_of, is_alive
from tests.support.web_server import web_server

GET = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_no_process_answers_before_it_knows_whether_it_is_ready(tmp_path: Path) -> None:
    hangs = str(tmp_path / "hangs.sock")
    with socket.socket(socket.AF_UNIX) as redis:
        redis.bind(hangs)
        redis.listen()  # each look takes its time
        with web_server(tmp_path, REDIS_URL=f"unix://{hangs}") as web:
            said = [web.exchange(GET % b"/readyz?for=pages") for _ in range(20)]
            old = children_of(web.process.pid)
            os.kill(web.process.pid, signal.SIGHUP)
            while any(map(is_alive, old)):
                said.append(web.exchange(GET % b"/readyz?for=pages"))
            said += [web.exchange(GET % b"/readyz?for=pages") for _ in range(20)]
    assert {each.partition(b"\r\n")[0] for each in said} == {b"HTTP/1.1 200 OK"}
