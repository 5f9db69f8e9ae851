"""Compare our web worker with gunicorn's own threads, in speed and under slow connections."""

import contextlib
import http.client
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bench.support.report import Line, milliseconds
from bench.support.world import SECRET, World, settle, wait_until, world
from portal.app import create_app
from portal.services.core.unit_of_work import writing
from tests.faults.support.slow_sockets import SlowSockets
from tests.support.factories import make_webhook, publish
from tests.support.ports import free_port
from tests.support.processes import Process, children_of
from tests.web.signed_in import visit

PAIRS = 31
AT_ONCE = 4  # a connection for each request, as nginx opens them
DELIVERIES = 2000
SLOW = ("heads", "bodies", "chunks", "idle")
SLOW_EACH = 10
SLOW_SECONDS = 120.0
PATIENCE = 10.0


class Server(NamedTuple):
    process: Process
    port: int

    def processor(self) -> float:
        """Return the processor seconds used by its processes."""
        folders = [Path(f"/proc/{pid}/task") for pid in children_of(self.process.pid)]
        times = [
            (task / "schedstat").read_text() for folder in folders for task in folder.iterdir()
        ]
        return sum(int(line.split()[0]) for line in times) / 1e9


class Took(NamedTuple):
    """Requests per second, and processor seconds for each."""

    rate: float
    processor: float


class Asked(NamedTuple):
    """A page, and the number of requests that each server gets for it in each pair."""

    path: str
    headers: dict[str, str]
    times: int


def run() -> Iterator[Line]:
    """Measure the sign-in page and the log, then two minutes of slow connections, on SQLite."""
    with world("sqlite") as here:
        make_webhook("http://127.0.0.1:9/", secret=SECRET)
        with writing():
            for number in range(DELIVERIES):
                publish(asset_id=number + 1)
        ours, threads = _start(here), _start(here, "-k", "bench.support.threads_worker.Threads")
        yield _compare("Sign-in page", Asked("/sign-in", {}, 400), ours, threads)
        yield _compare("Log page", Asked("/deliveries", _cookie(here), 48), ours, threads)
        for name, server in (("gunicorn's threads", threads), ("ours", ours)):
            yield _slowest(name, server)


def _start(here: World, *options: str) -> Server:
    here.environment["PORT"] = str(free_port())
    process = here.start("-m", "gunicorn", *options, "wsgi:app")
    server = Server(process, int(here.environment["PORT"]))
    wait_until(lambda: _seconds(server, "/healthz") is not None, 30, "the first answer")
    settle()
    return server


def _cookie(here: World) -> dict[str, str]:
    app = create_app(here.settings)
    with app.app_context():
        client = visit(app).client
        client.get("/deliveries", buffered=True)
        kept = client.get_cookie("session")
    assert kept is not None
    return {"Cookie": f"session={kept.value}"}


def _compare(name: str, asked: Asked, ours: Server, threads: Server) -> Line:
    pairs: list[dict[Server, Took]] = []
    for number in range(PAIRS + 1):
        turn = (ours, threads) if number % 2 else (threads, ours)
        pairs.append({server: _load(server, asked) for server in turn})
    warm = pairs[1:]
    share = statistics.median(pair[ours].rate / pair[threads].rate for pair in warm)
    spent = statistics.median(pair[ours].processor / pair[threads].processor for pair in warm)
    rate, processor = (
        statistics.median(figures) for figures in zip(*(p[ours] for p in warm), strict=True)
    )
    note = (
        f"{share:.0%} of gunicorn's threads; processor time {milliseconds(processor)} a request, "
        f"{spent:.0%}; medians of {PAIRS} pairs"
    )
    return Line(f"{name}, requests a second", f"{rate:.0f}", note)


def _load(server: Server, asked: Asked) -> Took:
    def some(count: int) -> None:
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            with contextlib.closing(connection):
                connection.request("GET", asked.path, headers=asked.headers)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, answer.status

    busy, began = server.processor(), time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as people:
        list(people.map(some, [asked.times // AT_ONCE] * AT_ONCE))
    took = time.perf_counter() - began
    return Took(asked.times / took, (server.processor() - busy) / asked.times)


def _slowest(name: str, server: Server) -> Line:
    end, took = time.monotonic() + SLOW_SECONDS, list[float | None]()
    with SlowSockets(server.port, SLOW_EACH, SLOW):
        while time.monotonic() < end:
            took += [_seconds(server, path) for path in ("/healthz", "/sign-in")]
            time.sleep(0.2)
    answered = [seconds for seconds in took if seconds is not None]
    lost = len(took) - len(answered)
    slowest = milliseconds(max(answered)) if not lost else f"over {PATIENCE:.0f} s"
    note = f"{len(took)} pages, of which {lost} did not come within {PATIENCE:.0f} s"
    title = f"{SLOW_EACH * len(SLOW)} slow connections for {SLOW_SECONDS:.0f} s, {name}"
    return Line(f"{title}: the slowest page", slowest, note)


def _seconds(server: Server, path: str) -> float | None:
    """Return the seconds that a page took on its own connection, or None if it did not come in
    time."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", path)
        connection.getresponse().read()
        return time.monotonic() - began
    return None
