"""From the commit of an action to the request at the receiver: alone, after quiet, and among
receivers that hang."""

import os
from collections.abc import Iterator
from pathlib import Path

from bench.support.arrivals import Arrivals
from bench.support.report import Line, milliseconds, p50_p99
from bench.support.world import SECRET, settle, world
from portal.engine.events.names import EventName
from tests.support.factories import make_webhook

WARM, ALONE = 10, 110
QUIET = float(os.environ.get("BENCH_QUIET", "180"))
RECEIVERS = 20
HANGING = 2
A_SECOND = 20
SECONDS = 15


def run() -> Iterator[Line]:
    """On SQLite, as one machine runs it."""
    for part in (_alone, _among_hanging):
        with world("sqlite", WEBHOOK_TIMEOUT="10") as here:
            log = here.folder / "arrived.txt"
            _, url = here.receiver("--log", str(log))
            here.worker()
            here.start("-m", "jobs", "scheduler")
            settle(3)
            yield from part(url, log)


def _alone(url: str, log: Path) -> Iterator[Line]:
    make_webhook(url, secret=SECRET)
    arrivals = Arrivals(log)
    for number in range(WARM + ALONE):
        arrivals.publish(EventName.CREATED, pause=0.1, counts=number >= WARM)
    times = arrivals.seconds()
    yield Line("Idle: commit → at the receiver, p50 / p99", p50_p99(times), f"{len(times)} events")
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
