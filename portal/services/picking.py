"""Which rows one webhook gets into a claim, and what becomes of those that crashed too often."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, func, literal_column, select, update

from portal.database import AnyRow
from portal.delivery.policy import AttemptKind, Outcome, Repeat, RetryAt, decide
from portal.delivery.reasons import Reason
from portal.extensions import settings
from portal.models.deliveries import (
    Attempt,
    Delivery,
    Event,
    Priority,
    has_no_live_lease,
    is_open,
)
from portal.services import rollups
from portal.services.dispatch import NOW, Wanted, head_of
from portal.services.verdicts import columns, standing_of

# What an attempt says until its end is recorded.
INTERRUPTED: Final = "interrupted"
WEBHOOK: Final[Any] = bindparam("webhook")


def take(
    connection: Connection, wanted: Wanted, most: int, now: datetime
) -> list[tuple[AnyRow, AttemptKind]]:
    """One webhook's rows: a test in its own place, then by priority, longest due first."""
    rows: list[AnyRow] = []
    if wanted.test_places:
        rows += _due(connection, wanted.webhook_id, Priority.TEST, now, 1)
    places = min(wanted.places, most - len(rows))
    for priority in wanted.priorities:
        if places > 0:
            in_turn = wanted.in_order and priority == Priority.NORMAL
            which = None if in_turn else priority
            found = _due(connection, wanted.webhook_id, which, now, places)
            rows += found
            places -= len(found)
    taken = [(row, _kind(row)) for row in rows[:most]]
    return [(row, kind) for row, kind in taken if _goes_on(connection, row, kind, now)]


def _due(
    connection: Connection, webhook_id: int, priority: Priority | None, now: datetime, most: int
) -> Sequence[AnyRow]:
    values = {"webhook": webhook_id, "now": now, "most": most}
    return connection.execute(_due_rows(priority), values).all()


@cache
def _due_rows(priority: Priority | None) -> Select[*tuple[Any, ...]]:
    """The rows of one priority, longest due first; without one, the head of the queue."""
    which = (
        Delivery.id == head_of(WEBHOOK)
        if priority is None
        else Delivery.priority == literal_column(str(int(priority)))
    )
    return (
        select(
            Delivery.id,
            Delivery.public_id,
            Delivery.webhook_id,
            Delivery.event,
            Delivery.tries,
            Delivery.attempts,
            Delivery.priority,
            Delivery.due_at,
            Delivery.prior_status,
            Delivery.prior_due_at,
            Delivery.requested_by,
            Delivery.stopped_by,
            Delivery.lease_token,
            Event.body,
            Event.occurred_at,
        )
        .join(Event, Event.id == Delivery.event_id)
        .where(
            Delivery.webhook_id == WEBHOOK,
            is_open(),
            which,
            Delivery.due_at <= NOW,
            has_no_live_lease(NOW),
        )
        .order_by(Delivery.due_at, Delivery.id)
        .limit(bindparam("most"))
        .with_for_update(of=Delivery, skip_locked=True)
    )


def _kind(row: AnyRow) -> AttemptKind:
    if row.priority == Priority.TEST:
        return AttemptKind.TEST
    return AttemptKind.MANUAL if row.prior_status else AttemptKind.SCHEDULED


def _goes_on(connection: Connection, row: AnyRow, kind: AttemptKind, now: datetime) -> bool:
    """Whether a delivery whose last lease ran out is sent again; if not, it ends here."""
    schedule = settings().webhook_retry_schedule
    # A person's Retry in between frees the lease of a last try that was cut off.
    is_spent = kind is AttemptKind.SCHEDULED and row.tries >= len(schedule)
    if row.lease_token is None and not is_spent:
        return True
    decision = decide(
        kind=kind,
        tries=row.tries,
        outcome=Outcome(Reason.INTERRUPTED),
        now=now,
        schedule=schedule,
        interruptions=0 if kind is AttemptKind.SCHEDULED else _interruptions(connection, row, kind),
    )
    if isinstance(decision, RetryAt | Repeat):
        return True  # at once: it has waited for its lease to end
    values = columns(decision, standing_of(row), now)
    connection.execute(
        update(Delivery)
        .where(Delivery.id == row.id)
        .values(**values, lease_token=None, lease_until=None, reason=Reason.INTERRUPTED)
    )
    entry = rollups.Entry(row.webhook_id, values["status"], row.priority, row.prior_status)
    rollups.count(connection, [entry], now)
    return False


def _interruptions(connection: Connection, row: AnyRow, kind: AttemptKind) -> int:
    """How often in a row this person's attempt was cut off by a crash (not by a shutdown)."""
    last_other = (
        select(func.coalesce(func.max(Attempt.number), 0))
        .where(
            Attempt.delivery_id == row.id,
            (Attempt.outcome != INTERRUPTED) | (Attempt.kind != kind),
        )
        .scalar_subquery()
    )
    cut_off = select(func.count()).where(
        Attempt.delivery_id == row.id, Attempt.number > last_other, Attempt.finished_at.is_(None)
    )
    return connection.execute(cut_off).scalar_one()
