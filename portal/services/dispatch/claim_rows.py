"""Which rows one webhook gets into a claim, and what becomes of those that crashed too often."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache, reduce
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.orm import aliased

from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind, Outcome, Repeat, RetryAt, decide
from portal.extensions import settings
from portal.models.deliveries import (
    Attempt,
    AttemptOutcome,
    Delivery,
    Priority,
    has_no_live_lease,
    is_open,
)
from portal.models.webhooks import Webhook
from portal.services.core.rowset import Rowset, as_json, given_ids
from portal.services.dispatch.claim_types import DueDelivery
from portal.services.outbox import rollups
from portal.services.outbox.due import NOW, Claimable, head_of
from portal.services.outbox.transitions import OPEN_DELIVERY, columns, open_delivery_of

# What an attempt says until its end is recorded.

Found: TypeAlias = dict[tuple[int, int], list[DueDelivery]]


def take(
    connection: Connection, wanted: Sequence[Claimable], most: int, now: datetime
) -> list[tuple[DueDelivery, AttemptKind]]:
    """Each webhook's rows: a test in its own place, then by priority, longest due first."""
    found = _find_due(connection, wanted, now)
    rows: list[DueDelivery] = []
    for each in wanted:
        tests = found[each.webhook_id, Priority.TEST][: each.test_places]
        others = [row for which in each.priorities for row in found[each.webhook_id, which]]
        rows += tests + others[: each.places]
    taken = [(row, _kind(row)) for row in rows[:most]]
    schedule = settings().webhook_retry_schedule
    return [(row, kind) for row, kind in taken if _goes_on(connection, row, kind, now, schedule)]


def _find_due(connection: Connection, wanted: Sequence[Claimable], now: datetime) -> Found:
    """The first rows of each webhook and priority, by one statement for all of them.

    In order, the normal one is the head of the queue, whatever its priority.
    """
    found: Found = defaultdict(list)
    if slots := [slot for each in wanted for slot in _slots(each)]:
        values = {"rows": as_json(slots), "now": now, "most": max(slot["places"] for slot in slots)}
        for row in connection.execute(_due_rows(connection.dialect.name), values).all():
            due = DueDelivery._make(row)
            found[due.webhook_id, due.priority].append(due)
    heads = [each.webhook_id for each in wanted if each.takes_head]
    if heads:
        values = {"ids": as_json(heads), "now": now}
        for row in connection.execute(_due_heads(connection.dialect.name), values):
            due = DueDelivery._make(row)
            found[due.webhook_id, Priority.NORMAL] = [due]
    return found


def _slots(wanted: Claimable) -> list[dict[str, int]]:
    slots = [(Priority.TEST, wanted.test_places)] if wanted.test_places else []
    for priority in wanted.priorities:
        if wanted.places and not (wanted.takes_head and priority == Priority.NORMAL):
            slots.append((priority, wanted.places))
    return [
        {"webhook": wanted.webhook_id, "priority": priority, "places": places}
        for priority, places in slots
    ]


def _columns_of(delivery: Any, dialect: str) -> list[ColumnElement[Any]]:
    """Those of a `DueDelivery`."""
    return [
        delivery.id,
        _as_text(delivery.public_id, dialect).label("public_id"),
        delivery.webhook_id,
        delivery.event_id,
        delivery.event,
        delivery.tries,
        delivery.priority,
        delivery.prior_status,
        delivery.lease_token.is_not(None).label("was_leased"),
    ]


def _as_text(uuid: ColumnElement[Any], dialect: str) -> ColumnElement[str]:
    """As it goes over the wire; a UUID for each delivery takes longer to make than to send."""
    if dialect != "sqlite":
        return cast(uuid, Text)
    digits = type_coerce(uuid, Text)  # without the hyphens
    parts = [
        func.substr(digits, literal_column(str(first)), literal_column(str(count)), type_=Text)
        for first, count in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    ]
    hyphen = literal_column("'-'", Text)
    return reduce(lambda left, right: left + hyphen + right, parts)


@cache
def _due_rows(dialect: str) -> Select[*tuple[Any, ...]]:
    """The first rows of each webhook and priority in `ROWS`, longest due first.

    PostgreSQL gives each its own number; SQLite, which cannot, gives all the largest of them.
    """
    given = Rowset(dialect, webhook=Integer(), priority=Integer(), places=Integer())
    first: Select[*tuple[Any, ...]] = (
        select(*_columns_of(Delivery, dialect))
        .where(
            Delivery.webhook_id == given["webhook"],
            is_open(),
            Delivery.priority == given["priority"],
            Delivery.due_at <= NOW,
            has_no_live_lease(NOW),
        )
        .order_by(Delivery.due_at, Delivery.id)
    )
    if dialect == "sqlite":
        ids = first.with_only_columns(Delivery.id).limit(bindparam("most")).correlate(given.source)
        chosen = aliased(Delivery)
        rows = select(*_columns_of(chosen, dialect)).join_from(
            given.source, chosen, chosen.id.in_(ids)
        )
        return rows.order_by(chosen.due_at, chosen.id)
    # The rows themselves come out of the locking part: as they are once they are locked.
    locked = first.add_columns(Delivery.due_at).limit(given["places"])
    picked = locked.with_for_update(skip_locked=True).correlate(given.source).lateral("picked")
    columns = (picked.c[name] for name in DueDelivery._fields)
    rows = select(*columns).select_from(given.source).join(picked, true())
    return rows.order_by(picked.c.due_at, picked.c.id)


@cache
def _due_heads(dialect: str) -> Select[*tuple[Any, ...]]:
    """The heads of these webhooks' queues, as far as they are due."""
    return (
        select(*_columns_of(Delivery, dialect))
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Webhook.id.in_(given_ids(dialect)),
            Delivery.id == head_of(Webhook.id.expression).correlate(Webhook),
            Delivery.due_at <= NOW,
            has_no_live_lease(NOW),
        )
        .with_for_update(of=Delivery, skip_locked=True)
    )


def _kind(row: DueDelivery) -> AttemptKind:
    if row.priority == Priority.TEST:
        return AttemptKind.TEST
    return AttemptKind.MANUAL if row.prior_status else AttemptKind.SCHEDULED


def _goes_on(
    connection: Connection,
    row: DueDelivery,
    kind: AttemptKind,
    now: datetime,
    schedule: Sequence[int],
) -> bool:
    """Whether a delivery whose last lease ran out is sent again; if not, it ends here."""
    # A person's Retry in between frees the lease of a last try that was cut off.
    is_spent = kind is AttemptKind.SCHEDULED and row.tries >= len(schedule)
    if not row.was_leased and not is_spent:
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
    standing = connection.execute(select(*OPEN_DELIVERY).where(Delivery.id == row.id)).one()
    values = columns(decision, open_delivery_of(standing), now)
    connection.execute(
        update(Delivery)
        .where(Delivery.id == row.id)
        .values(**values, lease_token=None, lease_until=None, reason=Reason.INTERRUPTED)
    )
    entry = rollups.StatusChange(
        row.webhook_id, values["status"], row.priority, row.prior_status, has_failed=True
    )
    rollups.count(connection, [entry], now)
    return False


def _interruptions(connection: Connection, row: DueDelivery, kind: AttemptKind) -> int:
    """How often in a row this person's attempt was cut off by a crash (not by a shutdown)."""
    last_other = (
        select(func.coalesce(func.max(Attempt.number), 0))
        .where(
            Attempt.delivery_id == row.id,
            (Attempt.outcome != AttemptOutcome.INTERRUPTED) | (Attempt.kind != kind),
        )
        .scalar_subquery()
    )
    cut_off = select(func.count()).where(
        Attempt.delivery_id == row.id, Attempt.number > last_other, Attempt.finished_at.is_(None)
    )
    return connection.execute(cut_off).scalar_one()
