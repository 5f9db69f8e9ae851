"""From the commit of an action to the request at the receiver: alone, after quiet, and among
receivers that hang."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.support.arrivals import Arrivals
from bench.support.report import Line, milliseconds, p50_p99
from bench.support.world import DATABASES, SECRET, settle, webhooks, world
from portal.engine.events.catalogue import EventName
from tests.support.factories import make_webhook

WARM, ALONE = 10, 110
QUIET = float(os.environ.get("BENCH_QUIET", "180"))
BURST = 50
RECEIVERS = 20
HANGING = 2
A_SECOND = 20
SECONDS = 15


def run() -> Iterator[Line]:
    """On both databases; the long ones on SQLite, as one machine runs it."""
    for database in DATABASES:
        for part in (idle, burst):
            with office(database) as (url, log):
                times = part(url, log)
                what = f"{part.__doc__}, {database}, p50 / p99"
                yield Line(what, p50_p99(times), f"{len(times)} deliveries")
    for long in (_after_quiet, _among_hanging):
        with office("sqlite") as (url, log):
            yield from long(url, log)


@contextmanager
def office(database: str) -> Iterator[tuple[str, Path]]:
    """A worker and a scheduler at rest; the receiver's address and log."""
    with world(database, WEBHOOK_TIMEOUT="10") as here:
        log = here.folder / "arrived.txt"
        _, url = here.receiver("--log", str(log))
        here.worker()
        here.start("-m", "jobs", "scheduler")
        settle(3)
        yield url, log


def idle(url: str, log: Path) -> list[float]:
    """Idle: commit → at the receiver"""
    make_webhook(url, secret=SECRET)
    arrivals = Arrivals(log)
    for number in range(WARM + ALONE):
        arrivals.publish(EventName.CREATED, pause=0.1, counts=number >= WARM)
    return arrivals.seconds()


def burst(url: str, log: Path) -> list[float]:
    """A burst of 50: from before the Save → at the receivers"""
    webhooks(url, BURST)
    arrivals = Arrivals(log, with_save=True)
    for number in range(WARM + ALONE):
        arrivals.publish(EventName.CREATED, pause=0.05, counts=number >= WARM)
    return arrivals.seconds()


def _after_quiet(url: str, log: Path) -> Iterator[Line]:
    make_webhook(url, secret=SECRET)
    settle(QUIET)
    first = Arrivals(log)
    first.publish(EventName.CREATED, pause=0.1)
    yield Line(f"The first after {QUIET:.0f} s of quiet", milliseconds(first.seconds()[0]))


def _among_hanging(url: str, log: Path) -> Iterator[Line]:
    # The one whose asset is gone cannot be brought about for an asset.
    events = [event for event in EventName if event is not EventName.DELETED][:RECEIVERS]
    for number, event in enumerate(events):
        path = "hang" if number < HANGING else "fine"
        make_webhook(f"{url}/{path}/{number}", events=[event], secret=SECRET)
    arrivals = Arrivals(log)
    for number in range(A_SECOND * SECONDS):
        which = number % RECEIVERS
        arrivals.publish(events[which], pause=1 / A_SECOND, counts=which >= HANGING)
    note = f"{HANGING} of {RECEIVERS} receivers never answer, {A_SECOND} events/s"
    yield Line("Healthy receivers among hanging ones, p50 / p99", p50_p99(arrivals.seconds()), note)
