"""Measure new messages to a healthy receiver while others have a backlog, hang, or get a bulk
retry."""

import statistics
from collections.abc import Callable, Iterator

from sqlalchemy import func, select, update

from bench.support.arrivals import Arrivals
from bench.support.report import Line, milliseconds, quantile
from bench.support.world import SECRET, World, settle, world
from portal.engine.events.catalogue import EventName
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.people import Role
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.support.deliveries import make_many
from tests.support.factories import make_user, make_webhook, publish

NEW = 75
PAUSE = 0.2  # seconds between two messages
WAITING = 100_000
FAILED = 30_000
HANGING = 200
OF_OTHERS = [EventName.CREATED]


def run() -> Iterator[Line]:
    """Measure one worker on SQLite."""
    yield _new_messages("nothing else is to be done", _nothing)
    yield _new_messages(f"{WAITING} wait for one webhook, its receiver takes 1 s", _waiting)
    yield _new_messages(f"a bulk retry of {FAILED} is under way", _again)
    yield _new_messages(f"{HANGING} receivers hang, one message each", _hanging(1))
    yield _new_messages(f"{HANGING} receivers hang, eight messages each", _hanging(8))


def _new_messages(when: str, prepare: Callable[[World, str], None]) -> Line:
    with world("sqlite", WEBHOOK_TIMEOUT="10") as here:
        log = here.folder / "arrived.txt"
        _, url = here.receiver("--log", str(log))
        make_webhook(f"{url}/fine", events=[EventName.UPDATED], secret=SECRET)
        here.worker()
        prepare(here, url)
        settle(3)
        arrivals = Arrivals(log)
        for _ in range(NEW):
            arrivals.publish(EventName.UPDATED, pause=PAUSE)
        times = arrivals.seconds()
        figures = (statistics.median(times), quantile(times, 0.95), quantile(times, 0.99))
        left = f"{_left()} of the others left"
        return Line(f"New messages while {when}, p50 / p95 / p99", _in_words(figures), left)


def _in_words(figures: tuple[float, ...]) -> str:
    return " / ".join(map(milliseconds, figures))


def _left() -> int:
    db.session.rollback()
    count = select(func.count()).where(Delivery.status != DeliveryStatus.DELIVERED)
    return db.session.execute(count).scalar_one()


def _nothing(_here: World, _url: str) -> None:
    pass


def _waiting(here: World, _url: str) -> None:
    _, slow = here.receiver("--delay", "1")
    make_many([make_webhook(slow, events=OF_OTHERS)], WAITING, utcnow())
    _make_all(DeliveryStatus.QUEUED)


def _again(here: World, url: str) -> None:
    make_many([make_webhook(f"{url}/again", events=OF_OTHERS)], FAILED, utcnow())
    _make_all(DeliveryStatus.FAILED)
    here.start("-m", "jobs", "worker", "background", ready="Ready for")
    failed = LogFilter(status=StatusFilter.FAILED)
    bulk_retry.start(
        make_user(Role.SUPPORT).actor,
        Selection(wanted=failed, newest=bulk_retry_selection.newest_now()),
    )


def _make_all(status: DeliveryStatus) -> None:
    db.session.execute(update(Delivery).values(status=status, reason=None, code=None))
    db.session.commit()


def _hanging(each: int) -> Callable[[World, str], None]:
    def prepare(_here: World, url: str) -> None:
        for number in range(HANGING):
            make_webhook(f"{url}/hang/{number}", events=OF_OTHERS)
        for _ in range(each):
            publish(EventName.CREATED)

    return prepare
