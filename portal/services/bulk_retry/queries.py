"""What the page of a bulk retry tells: where it waits, what did not arrive, the whole report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from portal.engine.health import has_asked
from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import (
    Attempt,
    AttemptOutcome,
    BatchRow,
    Delivery,
    DeliveryStatus,
    Event,
    RowOutcome,
)
from portal.models.tasks import Task
from portal.models.webhooks import Webhook
from portal.services.bulk_retry.batches import count_tried, count_waiting, halted, left_by_webhook
from portal.services.core.queries import capped
from portal.services.core.unit_of_work import database_time, session

CHUNK: Final = 500
MOST_SHOWN: Final = 50
NOT_ARRIVED: Final = (RowOutcome.FAILED, RowOutcome.SKIPPED)


@dataclass(frozen=True, slots=True)
class HaltedWebhook:
    """A webhook at which the batch waits. `waiting` and `trying` are all that is left for it.
    `is_halted`: until a person says Go on. `until`: so long it is left alone, where that is
    ahead; `has_asked`: for it said so.
    """

    webhook_id: UUID
    webhook_name: str
    waiting: int
    trying: int
    is_halted: bool
    until: datetime | None
    has_asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One delivery of a batch. What is no longer kept has no more than its outcome.

    `has_arrived`: it failed or was skipped here, and has arrived by now, in another way.
    `reason` and `code`: of the attempt that was made here; where that is no longer kept, of the
    last one.
    """

    id: int
    outcome: RowOutcome
    has_arrived: bool
    message: str
    public_id: UUID | None
    event: str | None
    asset_tag: str | None
    asset_name: str | None
    webhook_name: str | None
    stored_at: datetime | None
    reason: str | None
    code: int | None


def troubles(task: Task) -> list[HaltedWebhook]:
    """Where it waits now, and why."""
    current, stopped = session(), halted(task)
    now = database_time(current)
    left = left_by_webhook(current, task.id)
    waiting = [each.webhook_id for each in left if each.waits]
    wanted = select(Webhook.id, Webhook.public_id, Webhook.name, Webhook.not_before).where(
        or_(
            and_(Webhook.id.in_(waiting), or_(Webhook.throttled, Webhook.id.in_(stopped))),
            and_(Webhook.id.in_(each.webhook_id for each in left), Webhook.not_before > now),
        )
    )
    rows = current.execute(wanted.order_by(Webhook.name)).all()
    ids = [row.id for row in rows]
    counts, trying = count_waiting(current, task.id, ids), count_tried(current, task.id, ids, now)
    handed = {each.webhook_id: each.sent for each in left}
    return [
        HaltedWebhook(
            row.public_id,
            row.name,
            # What is handed over waits as well until it is being sent.
            counts.get(row.id, 0) + handed[row.id] - trying.get(row.id, 0),
            trying.get(row.id, 0),
            is_halted=row.id in stopped,
            until=row.not_before if row.not_before and row.not_before > now else None,
            has_asked=has_asked(row.not_before, now),
        )
        for row in rows
    ]


def not_arrived(task: Task) -> Sequence[ReportRow]:
    """The first that failed or were skipped, and have not arrived since."""
    wanted = _rows(task.id).where(BatchRow.outcome.in_(NOT_ARRIVED), not_(_has_arrived()))
    return [_row(each) for each in session().execute(wanted.limit(MOST_SHOWN))]


def count_not_arrived(task: Task) -> int:
    """How many of them there are (`capped`)."""
    some = (
        select(literal(1))
        .select_from(BatchRow)
        .outerjoin(Delivery, Delivery.id == BatchRow.delivery_id)
        .where(BatchRow.task_id == task.id, BatchRow.outcome.in_(NOT_ARRIVED), not_(_has_arrived()))
    )
    return capped(session(), some)


def every(task: Task) -> Iterator[ReportRow]:
    """All deliveries of a batch, the oldest first, in chunks that are a transaction each."""
    task_id, after = task.id, 0
    while True:
        wanted = _rows(task_id).where(BatchRow.delivery_id > after).limit(CHUNK)
        chunk = [_row(each) for each in session().execute(wanted)]
        session().rollback()
        yield from chunk
        if len(chunk) < CHUNK:
            return
        after = chunk[-1].id


def _rows(task_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            BatchRow.delivery_id.label("id"),
            BatchRow.outcome,
            BatchRow.message,
            _has_arrived().label("has_arrived"),
            Delivery.public_id,
            Delivery.event,
            Delivery.created_at.label("stored_at"),
            _of_attempt(Attempt.reason, Delivery.reason).label("reason"),
            _of_attempt(Attempt.code, Delivery.code).label("code"),
            Event.asset_tag,
            Event.asset_name,
            Webhook.name.label("webhook_name"),
        )
        .outerjoin(Delivery, Delivery.id == BatchRow.delivery_id)
        .outerjoin(Event, Event.id == Delivery.event_id)
        .outerjoin(Webhook, Webhook.id == BatchRow.webhook_id)
        .outerjoin(
            Attempt,
            and_(Attempt.delivery_id == BatchRow.delivery_id, Attempt.number == _number_here()),
        )
        .where(BatchRow.task_id == task_id)
        .order_by(BatchRow.delivery_id)
    )


def _number_here() -> ScalarSelect[int]:
    """The attempt by which a row ended, as `rows.settle` takes it."""
    mine = aliased(Attempt)
    ended = select(func.min(mine.number)).where(
        mine.delivery_id == BatchRow.delivery_id,
        mine.number > BatchRow.attempts,
        mine.kind == AttemptKind.MANUAL,
        mine.outcome.in_((AttemptOutcome.DELIVERED, AttemptOutcome.FAILED)),
    )
    return ended.correlate(BatchRow).scalar_subquery()


def _of_attempt(here: Any, last: Any) -> ColumnElement[Any]:
    return case((Attempt.id.is_not(None), here), else_=last)


def _has_arrived() -> ColumnElement[bool]:
    """Sent again, one that had arrived before counts by what came of that alone."""
    other = aliased(Attempt)
    later = exists().where(
        other.delivery_id == BatchRow.delivery_id,
        other.number > BatchRow.attempts,
        other.outcome == AttemptOutcome.DELIVERED,
    )
    is_there = and_(
        BatchRow.outcome.in_(NOT_ARRIVED),
        Delivery.status == DeliveryStatus.DELIVERED,
        or_(BatchRow.outcome == RowOutcome.SKIPPED, later),
    )
    # What is no longer kept has no status.
    return func.coalesce(is_there, false())


def _row(row: Any) -> ReportRow:
    values = dict(row._mapping)
    return ReportRow(**{**values, "outcome": RowOutcome(values["outcome"])})
