"""From the commit of an action to the request at the receiver: alone, after quiet, and among
receivers that hang."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy.event
from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.report import Line, milliseconds, p50_p99
from bench.world import SECRET, World, settle, wait_until, world
from portal.delivery.event_names import EventName
from portal.extensions import db
from portal.models.deliveries import Delivery
from tests.factories import make_webhook, publish

ALONE = 120
QUIET = float(os.environ.get("BENCH_QUIET", "180"))
RECEIVERS = 20
HANGING = 2
A_SECOND = 20
SECONDS = 15


def run() -> Iterator[Line]:
    """On SQLite, as one machine runs it."""
    with world("sqlite", WEBHOOK_TIMEOUT="10") as here:
        log = here.folder / "arrived.txt"
        _, url = here.receiver("--log", str(log))
        here.worker()
        here.start("-m", "jobs", "scheduler")
        settle(3)
        yield from _alone(here, url, log)
    with world("sqlite", WEBHOOK_TIMEOUT="10") as here:
        log = here.folder / "arrived.txt"
        _, url = here.receiver("--log", str(log))
        here.worker()
        here.start("-m", "jobs", "scheduler")
        settle(3)
        yield from _among_hanging(here, url, log)


def _alone(here: World, url: str, log: Path) -> Iterator[Line]:
    make_webhook(url, secret=SECRET)
    stored = [_publish(EventName.CREATED, pause=0.1) for _ in range(ALONE)]
    times = _latencies(log, dict(stored[10:]))
    yield Line("Idle: commit → at the receiver, p50 / p99", p50_p99(times), f"{len(times)} events")
    settle(QUIET)
    times = _latencies(log, dict([_publish(EventName.CREATED, pause=0.1)]))
    yield Line(f"The first after {QUIET:.0f} s of quiet", milliseconds(times[0]))


def _among_hanging(here: World, url: str, log: Path) -> Iterator[Line]:
    # The one whose asset is gone cannot be brought about for an asset.
    events = [event for event in EventName if event is not EventName.DELETED][:RECEIVERS]
    for number, event in enumerate(events):
        path = "hang" if number < HANGING else "fine"
        make_webhook(f"{url}/{path}/{number}", events=[event], secret=SECRET)
    healthy = {}
    for number in range(A_SECOND * SECONDS):
        event_id, at = _publish(events[number % RECEIVERS], pause=1 / A_SECOND)
        if number % RECEIVERS >= HANGING:
            healthy[event_id] = at
    times = _latencies(log, healthy)
    note = f"{HANGING} of {RECEIVERS} receivers never answer, {A_SECOND} events/s"
    yield Line("Healthy receivers among hanging ones, p50 / p99", p50_p99(times), note)


def _publish(event: EventName, pause: float) -> tuple[int, float]:
    """(row id of the event, when its commit was done, before the bell was rung)."""
    committed: list[float] = []

    def note(_session: Session) -> None:
        committed.append(time.monotonic())

    sqlalchemy.event.listen(db.session, "after_commit", note, insert=True)
    try:
        event_id = publish(event)
    finally:
        sqlalchemy.event.remove(db.session, "after_commit", note)
    time.sleep(pause)
    return event_id, committed[0]


def _latencies(log: Path, stored: dict[int, float]) -> list[float]:
    """Seconds for each event of `stored`; all must arrive."""
    db.session.rollback()
    rows = db.session.execute(
        select(Delivery.public_id, Delivery.event_id).where(Delivery.event_id.in_(stored))
    )
    event_of = {str(row.public_id): row.event_id for row in rows}
    arrived: dict[int, float] = {}

    def all_there() -> bool:
        for line in log.read_text().splitlines():
            delivery, _, at = line.partition(" ")
            if delivery in event_of and at:
                arrived.setdefault(event_of[delivery], float(at))
        return len(arrived) == len(stored)

    wait_until(all_there, 10, "arrival of all")
    # A pump that happens to look may have sent it before we have seen our own commit return.
    return [max(0.0, arrived[event_id] - at) for event_id, at in stored.items()]
