"""Leases on deliveries in flight, and the handling of expired leases.

To change a delivery that nobody sends, lock it first and query its lease in a separate statement. A
single statement would see the leases from before the lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    String,
    Uuid,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import Insert, ReturningDelete, Update

from portal.database.engine import NOW, AnyRow, UtcDateTime
from portal.engine.reasons import Reason
from portal.engine.retry_policy import (
    AttemptKind,
    Decision,
    Delivered,
    Outcome,
    Repeat,
    Restore,
    RetryAt,
    decide,
)
from portal.extensions import settings
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptOutcome,
    Delivery,
    DeliveryStatus,
    Lease,
    Priority,
)
from portal.services.core.queries import Rowset, as_json, given_ids
from portal.services.outbox import rollups
from portal.services.outbox.at_rest import NOT_DISMISSED

# A delivery can be dismissed while it is in flight.
MAY_BE_SENT: Final = (*OPEN, DeliveryStatus.DISMISSED)
# The columns of a lease that describe its attempt.
LEASE: Final[tuple[Any, ...]] = (
    Lease.delivery_id,
    Lease.number,
    Lease.kind,
    Lease.actor,
    Lease.url,
    Lease.started_at,
)


def ends(current: Session | Connection, ids: Collection[int]) -> dict[int, datetime]:
    """Return the end of each delivery's lease, by the database's clock. Unleased deliveries are
    left out. For deliveries locked before, the result holds until their lock is released."""
    if not ids:
        return {}
    query = select(Lease.delivery_id, Lease.until).where(Lease.delivery_id.in_(ids))
    return {row[0]: row[1] for row in current.execute(query)}


def lease_of(current: Session, delivery_id: int) -> Lease | None:
    """Return a delivery's lease, which is live or not yet settled as interrupted."""
    query = select(Lease).where(Lease.delivery_id == delivery_id)
    return current.scalars(query.execution_options(populate_existing=True)).one_or_none()


def free_among(current: Session | Connection, ids: Collection[int], now: datetime) -> Sequence[int]:
    """Return the deliveries that no process is sending. All of them are locked already."""
    known = ends(current, ids)
    return [id_ for id_ in ids if known.get(id_, now) <= now]


def count_live(connection: Connection, webhook_id: int, now: datetime) -> tuple[int, int]:
    """Count the deliveries in flight to a webhook, as (tests, others)."""
    is_test = Lease.kind == AttemptKind.TEST
    live = select(func.count().filter(is_test), func.count().filter(~is_test)).where(
        Lease.webhook_id == webhook_id, Lease.until > now
    )
    tests, others = connection.execute(live).one()
    return tests, others


def count_of(current: Session, webhook_ids: Collection[int], now: datetime) -> dict[int, int]:
    """Count the deliveries in flight to each of these webhooks, without tests."""
    counted = (
        select(Lease.webhook_id, func.count())
        .where(Lease.webhook_id.in_(webhook_ids), Lease.until > now, Lease.kind != AttemptKind.TEST)
        .group_by(Lease.webhook_id)
    )
    return {row[0]: row[1] for row in current.execute(counted)}


def take(connection: Connection, held: Iterable[tuple[int, UUID]]) -> Sequence[AnyRow]:
    """Remove the leases that still match `held` (delivery, token) and return their `LEASE`. The
    token of another lease gets nothing."""
    taken = _taken(connection.dialect.name)
    return connection.execute(taken, {"rows": _pairs(held)}).all()


def _pairs(held: Iterable[tuple[int, UUID]]) -> str:
    return as_json({"id": delivery_id, "token": token} for delivery_id, token in held)


def settle_ended(
    connection: Session | Connection, webhook_ids: Iterable[int], now: datetime
) -> int:
    """Turn each expired lease of these webhooks into an interrupted attempt. Return their number.

    The webhook rows are locked. An interruption counts as an attempt, but not as a failure in a
    row. A delivery with attempts left stays due. The last attempt ends it, and so does a person's
    attempt that was cut off too often.
    """
    plain = connection.connection() if isinstance(connection, Session) else connection
    statement = _ended(plain.dialect.name)
    parameters = {"ids": as_json(webhook_ids), "now": now}
    ended = plain.execute(statement, parameters).all()
    if ended:
        write_interrupted(plain, ended)
        _draw_consequences(plain, {row.delivery_id: row.kind for row in ended}, now)
    return len(ended)


def write_interrupted(
    connection: Connection, ended: Sequence[AnyRow], finished_at: datetime | None = None
) -> None:
    """Store the attempts of removed leases, `ended` (`LEASE`). Locks the deliveries.

    `finished_at` marks released leases, which spend no try. It is None for leases cut off by a
    crash.
    """
    rows = as_json(
        {
            "id": row.delivery_id,
            "number": row.number,
            "kind": row.kind,
            "actor": row.actor,
            "url": row.url,
            "started_at": row.started_at,
            "finished_at": finished_at,
            "tries": int(row.kind == AttemptKind.SCHEDULED and finished_at is None),
        }
        for row in ended
    )
    dialect = connection.dialect.name
    connection.execute(_make_interrupted(dialect), {"rows": rows})
    connection.execute(_count_interrupted(dialect), {"rows": rows})


def _draw_consequences(connection: Connection, kinds: dict[int, str], now: datetime) -> None:
    """End deliveries with no attempts left."""
    parameters = {"ids": as_json(kinds)}
    schedule = settings().webhook_retry_schedule
    entries = []
    for row in connection.execute(_standing(connection.dialect.name), parameters).all():
        kind = AttemptKind(kinds[row.id])
        decision = decide(
            kind=kind,
            tries=row.tries,
            outcome=Outcome(Reason.INTERRUPTED),
            now=now,
            schedule=schedule,
            interruptions=0
            if kind is AttemptKind.SCHEDULED
            else _interruptions(connection, row.id, kind),
        )
        if isinstance(decision, RetryAt | Repeat):
            continue  # due at once, because it has waited for its lease to end
        values = columns(decision, open_delivery_of(row), now) | {"reason": Reason.INTERRUPTED}
        if DeliveryStatus.FAILED in (values["status"], values["prior_status"]):
            values["failing_since"] = failing_since(values, now)
        connection.execute(update(Delivery).where(Delivery.id == row.id).values(**values))
        status, prior = values["status"], row.prior_status
        entries.append(
            rollups.StatusChange(row.webhook_id, status, row.priority, prior, has_failed=True)
        )
    rollups.count(connection, entries, now)


def _interruptions(connection: Connection, delivery_id: int, kind: AttemptKind) -> int:
    """Count how often in a row a crash (not a shutdown) cut off this person's attempt."""
    last_other = (
        select(func.coalesce(func.max(Attempt.number), 0))
        .where(
            Attempt.delivery_id == delivery_id,
            (Attempt.outcome != AttemptOutcome.INTERRUPTED) | (Attempt.kind != kind),
        )
        .scalar_subquery()
    )
    cut_off = select(func.count()).where(
        Attempt.delivery_id == delivery_id,
        Attempt.number > last_other,
        Attempt.finished_at.is_(None),
    )
    return connection.execute(cut_off).scalar_one()


# Statements are built once, because building one costs more than running it.
@cache
def _ended(dialect: str) -> ReturningDelete[*tuple[Any, ...]]:
    of_webhooks = Lease.webhook_id.in_(given_ids(dialect))
    return delete(Lease).where(of_webhooks, Lease.until <= NOW).returning(*LEASE)


@cache
def _taken(dialect: str) -> ReturningDelete[*tuple[Any, ...]]:
    rowset = Rowset(dialect, id=BigInteger(), token=Uuid())
    pairs = select(rowset["id"], rowset["token"]).select_from(rowset.source)
    # An IN list, because SQLite would walk a correlated subquery once per lease.
    return delete(Lease).where(tuple_(Lease.delivery_id, Lease.token).in_(pairs)).returning(*LEASE)


@cache
def _standing(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(Delivery.id, Delivery.webhook_id, Delivery.tries, *OPEN_DELIVERY)
        .where(Delivery.id.in_(given_ids(dialect)), Delivery.status.in_(MAY_BE_SENT))
        .order_by(Delivery.id)
    )


def _rows(dialect: str) -> Rowset:
    return Rowset(
        dialect,
        id=BigInteger(),
        number=Integer(),
        kind=String(),
        actor=String(),
        url=String(),
        started_at=UtcDateTime(),
        finished_at=UtcDateTime(),
        tries=Integer(),
    )


def next_number(given: Any) -> Any:
    """Return the number of an attempt, which is the claimed one unless another attempt has taken
    it."""
    behind = Delivery.attempts + 1
    return case((given > Delivery.attempts, given), else_=behind)


@cache
def _make_interrupted(dialect: str) -> Insert:
    rowset = _rows(dialect)
    values = {
        "delivery_id": Delivery.id.expression,
        "number": next_number(rowset["number"]),
        "kind": rowset["kind"],
        "actor": rowset["actor"],
        "url": rowset["url"],
        "outcome": literal_column(f"'{AttemptOutcome.INTERRUPTED}'"),
        "started_at": rowset["started_at"],
        "finished_at": rowset["finished_at"],
    }
    rows = select(*values.values()).join_from(rowset.source, Delivery, Delivery.id == rowset["id"])
    return insert(Attempt).from_select(list(values), rows)


@cache
def _count_interrupted(dialect: str) -> Update:
    rowset = _rows(dialect)
    return (
        update(Delivery)
        .where(Delivery.id == rowset["id"])
        .values(attempts=next_number(rowset["number"]), tries=Delivery.tries + rowset["tries"])
    )


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """The facts of a delivery that a decision needs."""

    due_at: datetime
    priority: int
    prior_status: str | None
    prior_due_at: datetime | None
    requested_by: str | None
    status: str
    failing_since: datetime | None = None


# The columns that `open_delivery_of` reads.
OPEN_DELIVERY: Final[tuple[Any, ...]] = (
    Delivery.due_at,
    Delivery.priority,
    Delivery.prior_status,
    Delivery.prior_due_at,
    Delivery.requested_by,
    Delivery.status,
    Delivery.failing_since,
)


def open_delivery_of(row: AnyRow) -> OpenDelivery:
    """Return the facts from a row with the columns `OPEN_DELIVERY`."""
    return OpenDelivery(
        row.due_at,
        row.priority,
        row.prior_status,
        row.prior_due_at,
        row.requested_by,
        row.status,
        row.failing_since,
    )


def columns(decision: Decision, delivery: OpenDelivery, now: datetime) -> dict[str, Any]:
    """Return the new status, due time and columns of a person's extra attempt.

    The keys are the same for all, so that many rows fit into one statement. A dismissed delivery
    has more. A `Repeat` changes none.
    """
    assert not isinstance(decision, Repeat)  # noqa: S101 -- a caller leaves such a row as it is
    values: dict[str, Any] = {
        "status": DeliveryStatus.FAILED,
        "due_at": delivery.due_at,
        "priority": Priority.NORMAL if delivery.priority != Priority.TEST else Priority.TEST,
        "prior_status": None,
        "prior_due_at": None,
        "requested_by": None,
        "finished_at": now,
        "failing_since": delivery.failing_since,
    }
    match decision:
        case Delivered():
            values |= {"status": DeliveryStatus.DELIVERED, "failing_since": None}
        case RetryAt(at):
            values |= {"status": DeliveryStatus.RETRYING, "due_at": at, "finished_at": None}
        case Restore(reason) if delivery.prior_status:
            is_first = delivery.prior_status == DeliveryStatus.QUEUED
            is_open = delivery.prior_status in OPEN
            planned = delivery.prior_due_at or delivery.due_at
            values |= {
                "status": _reopened(delivery, reason) if is_first else delivery.prior_status,
                "due_at": decision.due_at(planned, now) if is_open else planned,
                "finished_at": None if is_open else now,
            }
        case Restore(reason) if delivery.status in (*OPEN, DeliveryStatus.ON_HOLD):
            # It was dismissed and restored in the meantime, without the person's attempt.
            values |= {
                "status": _reopened(delivery, reason),
                "due_at": decision.due_at(delivery.due_at, now),
                "finished_at": None,
            }
    if delivery.status == DeliveryStatus.DISMISSED:
        return _dismissed(values, now)
    return values


def _reopened(delivery: OpenDelivery, reason: Reason) -> DeliveryStatus:
    """Return Retrying once an attempt has failed. An interrupted attempt has not failed."""
    has_failed = reason is not Reason.INTERRUPTED or delivery.status == DeliveryStatus.RETRYING
    return DeliveryStatus.RETRYING if has_failed else DeliveryStatus.QUEUED


def _dismissed(values: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the values of a delivery dismissed while in flight. It stays dismissed unless it has
    arrived."""
    if values["status"] == DeliveryStatus.DELIVERED:
        return values | NOT_DISMISSED
    is_so = {"status": DeliveryStatus.DISMISSED, "finished_at": now}
    return values | is_so | {"prior_status": values["status"]}


def failing_since(values: Mapping[str, Any], failed_at: datetime) -> datetime | None:
    """Return a delivery's first failed attempt, now that one has failed at `failed_at`.

    `values`: its columns after that attempt. A test has none, nor does a failed resend of a
    delivered one.
    """
    is_resend = DeliveryStatus.DELIVERED in (values["status"], values["prior_status"])
    if values["priority"] == Priority.TEST or is_resend:
        return None
    return min(values["failing_since"] or failed_at, failed_at)
