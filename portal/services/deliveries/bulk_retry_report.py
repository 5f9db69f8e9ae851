"""Report a bulk retry's stalled webhooks, its unsent deliveries, and the outcome of each row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
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

from portal.database.engine import AnyRow
from portal.engine.circuit_breaker import has_asked
from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptOutcome,
    BatchRow,
    Delivery,
    DeliveryStatus,
    Event,
    RowOutcome,
    has_no_live_lease,
)
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.queries import COUNT_LIMIT, capped
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries import retry
from portal.services.deliveries.bulk_retry import counted, halted, left_by_webhook
from portal.services.deliveries.log import RETRYABLE

CHUNK: Final = 500
MOST_SHOWN: Final = 50
NOT_ARRIVED: Final = (RowOutcome.FAILED, RowOutcome.SKIPPED)


class Rest(NamedTuple):
    """Counts of the deliveries that a bulk retry has not sent (`capped`).

    `delivered`: delivered in another way by now. `left`: can still be sent.
    """

    unsent: int = 0
    delivered: int = 0
    left: int = 0


def rest(task: Task) -> Rest:
    """Count the unsent deliveries of a bulk retry that is paused or has ended."""
    if task.total <= task.done:
        return Rest()
    current = session()
    resumes = task.state == TaskState.PAUSED
    unsent = (
        select(BatchRow.delivery_id)
        .where(
            BatchRow.task_id == task.id,
            BatchRow.outcome == (RowOutcome.WAITING if resumes else RowOutcome.UNSENT),
        )
        .limit(COUNT_LIMIT + 1)
        .subquery()
    )
    other_ids = [task_id for task_id in retry.running(current) if task_id != task.id]
    is_taken = exists().where(
        BatchRow.task_id.in_(other_ids),
        BatchRow.delivery_id == Delivery.id,
        BatchRow.outcome.in_(retry.NOT_ENDED),
    )
    is_delivered = Delivery.status == DeliveryStatus.DELIVERED
    resends = resumes and task.params["again"]
    sent = (*RETRYABLE, DeliveryStatus.DELIVERED) if resends else RETRYABLE
    now = database_time(current)
    is_quiet = and_(Delivery.prior_status.is_(None), has_no_live_lease(now))
    is_left = and_(
        Delivery.status.in_(sent),
        or_(Delivery.status.not_in(OPEN), is_quiet),
        Webhook.state == WebhookState.ACTIVE,
        Webhook.deleted_at.is_(None),
        not_(is_taken),
    )
    numbers = (
        select(
            func.count(),
            func.coalesce(func.sum(case((is_delivered, 1), else_=0)), 0),
            func.coalesce(func.sum(case((is_left, 1), else_=0)), 0),
        )
        .select_from(unsent)
        .outerjoin(Delivery, Delivery.id == unsent.c.delivery_id)
        .outerjoin(Webhook, Webhook.id == Delivery.webhook_id)
    )
    return Rest(*current.execute(numbers).one())


@dataclass(frozen=True, slots=True)
class HaltedWebhook:
    """A webhook that the bulk retry waits for, and the number of deliveries `left` for it.

    `is_halted`: it waits until a person resumes the bulk retry. `until`: the end of its backoff, if
    in the future. `has_asked`: the receiver asked for this backoff. Otherwise it follows `failures`
    in a row.
    """

    webhook_id: UUID
    webhook_name: str
    left: int
    failures: int
    is_halted: bool
    until: datetime | None
    has_asked: bool


def troubles(task: Task) -> list[HaltedWebhook]:
    """Return the webhooks that the bulk retry waits for now, by name."""
    current, stopped = session(), halted(task)
    now = database_time(current)
    parts = left_by_webhook(current, task.id)
    waiting = [part.webhook_id for part in parts if part.waits]
    columns = Webhook.id, Webhook.public_id, Webhook.name, Webhook.backoff_until
    statement = select(*columns, Webhook.failures_in_row).where(
        or_(
            and_(Webhook.id.in_(waiting), or_(Webhook.throttled, Webhook.id.in_(stopped))),
            and_(Webhook.id.in_(part.webhook_id for part in parts), Webhook.backoff_until > now),
        )
    )
    rows = current.execute(statement.order_by(Webhook.name)).all()
    of_webhooks = BatchRow.webhook_id.in_([row.id for row in rows])
    left = counted(current, task.id, BatchRow.outcome.in_(retry.NOT_ENDED), of_webhooks)
    return [
        HaltedWebhook(
            row.public_id,
            row.name,
            left.get(row.id, 0),
            row.failures_in_row,
            is_halted=row.id in stopped,
            until=row.backoff_until if row.backoff_until and row.backoff_until > now else None,
            has_asked=has_asked(row.backoff_until, now),
        )
        for row in rows
    ]


def not_arrived(task: Task) -> tuple[Sequence[AnyRow], int]:
    """Return the first rows that failed or were skipped and have not arrived since.

    Also returns the count of all such rows (`capped`).
    """
    if not any(task.counts.get(outcome) for outcome in NOT_ARRIVED):
        return [], 0
    current, missing = session(), (BatchRow.outcome.in_(NOT_ARRIVED), not_(_has_arrived()))
    rows = current.execute(_report(task.id).where(*missing).limit(MOST_SHOWN))
    missed = select(literal(1)).outerjoin_from(
        BatchRow, Delivery, Delivery.id == BatchRow.delivery_id
    )
    many = capped(current, missed.where(BatchRow.task_id == task.id, *missing))
    return rows.all(), many


def report_rows(task: Task) -> Iterator[AnyRow]:
    """Yield all rows of a bulk retry, oldest first, reading each chunk in its own transaction."""
    task_id, after = task.id, 0
    while True:
        statement = _report(task_id).where(BatchRow.delivery_id > after).limit(CHUNK)
        chunk = session().execute(statement).all()
        session().rollback()
        yield from chunk
        if len(chunk) < CHUNK:
            return
        after = chunk[-1].id


def _report(task_id: int) -> Select[*tuple[Any, ...]]:
    """Select the rows of a bulk retry. If a delivery is no longer kept, only its outcome is left.

    `has_arrived`: it failed or was skipped here, and has since arrived in another way. `reason` and
    `code`: of the attempt made here, or of the last one if that attempt is no longer kept.
    """
    is_here = Attempt.id.is_not(None)
    return (
        select(
            BatchRow.delivery_id.label("id"),
            BatchRow.outcome,
            BatchRow.message,
            _has_arrived().label("has_arrived"),
            Delivery.public_id,
            Delivery.event,
            Delivery.created_at.label("stored_at"),
            case((is_here, Attempt.reason), else_=Delivery.reason).label("reason"),
            case((is_here, Attempt.code), else_=Delivery.code).label("code"),
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
    """Select the number of the attempt that ended a row, by the same rule as `settle`."""
    attempt = aliased(Attempt)
    ended = select(func.min(attempt.number)).where(
        attempt.delivery_id == BatchRow.delivery_id,
        attempt.number > BatchRow.attempts,
        attempt.kind == AttemptKind.MANUAL,
        attempt.outcome.in_((AttemptOutcome.DELIVERED, AttemptOutcome.FAILED)),
    )
    return ended.correlate(BatchRow).scalar_subquery()


def _has_arrived() -> ColumnElement[bool]:
    """Return the condition of a failed or skipped row that has arrived since.

    For a failed resend, an arrival before this bulk retry does not count.
    """
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
    # The condition is NULL for deliveries that are no longer kept.
    return func.coalesce(is_there, false())
