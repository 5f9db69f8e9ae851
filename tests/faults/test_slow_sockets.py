"""Slow connections occupy no thread, so pages stay available, and each connection is closed."""

import time
import urllib.request
from pathlib import Path

import pytest

from jobs.web_server import IDLE, PATIENCE
from tests.faults.support.durations import IS_FULL, SLOW_SOCKETS
from tests.faults.support.slow_sockets import SlowSockets
from tests.support.web_server import WebServer, web_server

EACH = 8  # of each kind, while the server has sixteen threads
LONGEST = 1.0 if IS_FULL else 3.0  # seconds, with slack for a busy machine
ASKED = 2  # attempts, because only a page without a thread is late each time
LATE = 5.0
SENDERS = ("heads", "bodies", "chunks", "one long chunk")


def seconds_of(web: WebServer, path: str) -> float:
    """Return how long a page took, at most ten seconds."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web.port}{path}", timeout=10) as answer:
            answer.read()
    except TimeoutError:
        pass
    return time.monotonic() - began


@pytest.mark.timeout(SLOW_SOCKETS + 60)
def test_slow_connections_block_no_page_and_are_closed(tmp_path: Path) -> None:
    with web_server(tmp_path) as web, SlowSockets(web.port, EACH) as slow:
        end = time.monotonic() + SLOW_SOCKETS
        while time.monotonic() < end:
            for path in ("/healthz", "/sign-in"):
                took = (seconds_of(web, path) for _ in range(ASKED))
                assert any(seconds < LONGEST for seconds in took), path
            time.sleep(0.2)
        assert slow.is_alive()
    for kind in SENDERS:
        assert min(slow.lived[kind]) > PATIENCE - 1, kind
        assert max(*slow.lived[kind], slow.oldest[kind]) < PATIENCE + LATE, kind
    if IS_FULL:
        assert max(*slow.lived["idle"], slow.oldest["idle"]) < IDLE + LATE
    else:
        assert not slow.lived["idle"]
