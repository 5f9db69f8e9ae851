"""Measure the time from an action's commit to the request at the receiver.

The portal is idle, was quiet for long, has hanging receivers, or dismisses 100,000 other
deliveries.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select, update

from bench.support import log_rows
from bench.support.arrivals import Arrivals
from bench.support.report import Line, milliseconds, p50_p99, quantile
from bench.support.world import DATABASES, SECRET, settle, webhooks, world
from portal.engine.events.catalogue import EventName
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.tasks import Task, TaskState
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import dismissals
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.support.factories import make_asset, make_webhook

WARM, ALONE = 10, 110
QUIET = float(os.environ.get("BENCH_QUIET", "180"))
BURST = 50
RECEIVERS = 20
HANGING = 2
A_SECOND = 20
SECONDS = 15
DISMISSED = 100_000


def run() -> Iterator[Line]:
    """Measure the short parts on both databases, and the long ones on SQLite, as one machine runs
    it."""
    for database in DATABASES:
        for part in (idle, burst):
            with office(database) as (url, log):
                times = part(url, log)
                title = f"{part.__doc__}, {database}, p50 / p99"
                yield Line(title, p50_p99(times), f"{len(times)} deliveries")
        with office(database) as (url, log):
            yield from _while_dismissing(url, log, database)
    for long in (_after_quiet, _among_hanging):
        with office("sqlite") as (url, log):
            yield from long(url, log)


@contextmanager
def office(database: str) -> Iterator[tuple[str, Path]]:
    """Start a worker and a scheduler, and yield the receiver's address and log once they are at
    rest."""
    with world(database, WEBHOOK_TIMEOUT="10") as here:
        log = here.folder / "arrived.txt"
        _, url = here.receiver("--log", str(log))
        here.worker()
        here.start("-m", "jobs", "worker", "background", ready="Ready for")
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
    # A deletion event cannot be published for an existing asset.
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


def _while_dismissing(url: str, log: Path, database: str) -> Iterator[Line]:
    webhooks("http://127.0.0.1:9", log_rows.QUIET, events=[EventName.DELETED])
    make_asset("ThinkPad T14")
    log_rows.fill(DISMISSED)
    with writing() as current:
        failed = {"status": "failed", "finished_at": utcnow(), "failing_since": utcnow()}
        current.execute(update(Delivery).values(failed))
    make_webhook(f"{url}/fine", secret=SECRET)
    before = _at_a_rate(log)
    choice = Selection(wanted=LogFilter(status=StatusFilter.FAILED), newest=DISMISSED)
    task = dismissals.dismiss(SYSTEM, choice).task
    during = _at_a_rate(log)
    db.session.rollback()
    under_way, done = db.session.execute(
        select(Task.state, Task.done).where(Task.public_id == task)
    ).one()
    assert under_way == TaskState.RUNNING, f"dismissed before all were sent: {under_way}"
    title = f"While {DISMISSED:,} are dismissed, {A_SECOND} a second, {database}, p95"
    note = f"{milliseconds(quantile(before, 0.95))} before; {done:,} dismissed in the time"
    yield Line(title, milliseconds(quantile(during, 0.95)), note)


def _at_a_rate(log: Path) -> list[float]:
    arrivals = Arrivals(log)
    for _ in range(SECONDS * A_SECOND):
        arrivals.publish(EventName.CREATED, pause=1 / A_SECOND)
    return arrivals.seconds()
