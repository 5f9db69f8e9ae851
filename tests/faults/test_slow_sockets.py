"""Connections that are slow take no thread, so they silence no page; and each has an end."""

import time
import urllib.request
from pathlib import Path

import pytest

from jobs.web_server import IDLE, PATIENCE
from tests.faults.support.durations import IS_FULL, SLOW_SOCKETS
from tests.faults.support.slow_sockets import SlowSockets
from tests.support.web_server import WebServer, web_server

EACH = 8  # of each kind; the server has sixteen threads
LONGEST = 1.0 if IS_FULL else 3.0  # seconds; the machine may have other work
ASKED = 2  # times at most: a page without a thread is late each time, on a busy machine it is not
LATE = 5.0
SENDERS = ("heads", "bodies", "chunks", "one long chunk")


def seconds_of(web: WebServer, path: str) -> float:
    """How long a page took, at most ten seconds."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web.port}{path}", timeout=10) as answer:
            answer.read()
    except TimeoutError:
        pass
    return time.monotonic() - began


@pytest.mark.timeout(SLOW_SOCKETS + 60)
def test_they_silence_no_page_and_each_has_an_end(tmp_path: Path) -> None:
    with web_server(tmp_path) as web, SlowSockets(web.port, EACH) as slow:
        end = time.monotonic() + SLOW_SOCKETS
        while time.monotonic() < end:
            for path in ("/healthz", "/sign-in"):
                took = (seconds_of(web, path) for _ in range(ASKED))
                assert any(each < LONGEST for each in took), path
            time.sleep(0.2)
        assert slow.is_alive()
    for kind in SENDERS:
        assert min(slow.lived[kind]) > PATIENCE - 1, kind
        assert max(*slow.lived[kind], slow.oldest[kind]) < PATIENCE + LATE, kind
    if IS_FULL:
        assert max(*slow.lived["idle"], slow.oldest["idle"]) < IDLE + LATE
    else:
        assert not slow.lived["idle"]
