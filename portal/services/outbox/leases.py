"""Leases: who is sending a delivery now, and what becomes of those that ran out.

Whoever wants to change a delivery that nobody sends locks it first and asks for its lease in a
statement of its own: one that does both sees the leases as they were before it had the lock.
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
from sqlalchemy.orm import Session, aliased
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
    is_failing,
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

# One that is being sent may have been dismissed in the meantime.
MAY_BE_SENT: Final = (*OPEN, DeliveryStatus.DISMISSED)
# The attempt that a lease stands for.
LEASE: Final[tuple[Any, ...]] = (
    Lease.delivery_id,
    Lease.number,
    Lease.kind,
    Lease.actor,
    Lease.url,
    Lease.started_at,
)


def ends(current: Session | Connection, ids: Collection[int]) -> dict[int, datetime]:
    """Until when these deliveries are leased, by the database's clock; without those that are
    not. Of what was locked before, it is how things stand until the lock is let go."""
    if not ids:
        return {}
    found = select(Lease.delivery_id, Lease.until).where(Lease.delivery_id.in_(ids))
    return {row[0]: row[1] for row in current.execute(found)}


def lease_of(current: Session, delivery_id: int) -> Lease | None:
    """The attempt of a delivery that has not ended, or that nobody has called interrupted yet."""
    wanted = select(Lease).where(Lease.delivery_id == delivery_id)
    return current.scalars(wanted.execution_options(populate_existing=True)).one_or_none()


def free_among(current: Session | Connection, ids: Collection[int], now: datetime) -> Sequence[int]:
    """Those of these deliveries, locked before, that nobody is sending."""
    known = ends(current, ids)
    return [each for each in ids if known.get(each, now) <= now]


def count_live(connection: Connection, webhook_id: int, now: datetime) -> tuple[int, int]:
    """Return how many deliveries of a webhook are being sent: (tests, others)."""
    is_test = Lease.kind == AttemptKind.TEST
    live = select(func.count().filter(is_test), func.count().filter(~is_test)).where(
        Lease.webhook_id == webhook_id, Lease.until > now
    )
    tests, others = connection.execute(live).one()
    return tests, others


def count_of(current: Session, webhook_ids: Collection[int], now: datetime) -> dict[int, int]:
    """Return how many deliveries of each of these webhooks are being sent, tests apart."""
    counted = (
        select(Lease.webhook_id, func.count())
        .where(Lease.webhook_id.in_(webhook_ids), Lease.until > now, Lease.kind != AttemptKind.TEST)
        .group_by(Lease.webhook_id)
    )
    return {row[0]: row[1] for row in current.execute(counted)}


def take(connection: Connection, held: Iterable[tuple[int, UUID]]) -> Sequence[AnyRow]:
    """Remove the leases that are still the ones that are `held` (delivery, token); return their
    `LEASE`. Whoever brings another lease's token gets nothing."""
    taken = _taken(connection.dialect.name)
    return connection.execute(taken, {"rows": _pairs(held)}).all()


def _pairs(held: Iterable[tuple[int, UUID]]) -> str:
    return as_json({"id": delivery_id, "token": token} for delivery_id, token in held)


def settle_ended(
    connection: Session | Connection, webhook_ids: Iterable[int], now: datetime
) -> int:
    """Make of each lease that ran out an attempt that was interrupted; return how many there were.

    Of these webhooks, whose rows are locked. It counts as an attempt and not as a failure in a row.
    One that has attempts left stays due; a last one, and a person's attempt that was cut off too
    often, ends here.
    """
    plain = connection.connection() if isinstance(connection, Session) else connection
    statement = _ended(plain.dialect.name)
    given = {"ids": as_json(webhook_ids), "now": now}
    ended = plain.execute(statement, given).all()
    if ended:
        write_interrupted(plain, ended)
        _draw_consequences(plain, {row.delivery_id: row.kind for row in ended}, now)
    return len(ended)


def write_interrupted(
    connection: Connection, ended: Sequence[AnyRow], finished_at: datetime | None = None
) -> None:
    """Store the attempts of leases that are gone, `ended` (`LEASE`). Locks the deliveries.

    `finished_at` tells those that were given back, which spend no try, from those that a crash cut
    off.
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
    """End what has no attempts left."""
    given = {"ids": as_json(kinds)}
    schedule = settings().webhook_retry_schedule
    entries = []
    for row in connection.execute(_standing(connection.dialect.name), given).all():
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
            continue  # at once: it has waited for its lease to end
        values = columns(decision, open_delivery_of(row), now) | {"reason": Reason.INTERRUPTED}
        if values["failing_since"] is None and values["priority"] != Priority.TEST:
            values["failing_since"] = failing_since(connection, {row.id: values}, now).get(row.id)
        connection.execute(update(Delivery).where(Delivery.id == row.id).values(**values))
        status, prior = values["status"], row.prior_status
        entries.append(
            rollups.StatusChange(row.webhook_id, status, row.priority, prior, has_failed=True)
        )
    rollups.count(connection, entries, now)


def _interruptions(connection: Connection, delivery_id: int, kind: AttemptKind) -> int:
    """Return how often in a row this person's attempt was cut off by a crash (not by a
    shutdown)."""
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


# Statements are built once: building one costs more than running it.
@cache
def _ended(dialect: str) -> ReturningDelete[*tuple[Any, ...]]:
    of_webhooks = Lease.webhook_id.in_(given_ids(dialect))
    return delete(Lease).where(of_webhooks, Lease.until <= NOW).returning(*LEASE)


@cache
def _taken(dialect: str) -> ReturningDelete[*tuple[Any, ...]]:
    given = Rowset(dialect, id=BigInteger(), token=Uuid())
    pairs = select(given["id"], given["token"]).select_from(given.source)
    # A list to look in: SQLite would walk a correlated one once for each lease.
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
    """The number of an attempt: the one it was claimed by, unless another has taken that."""
    behind = Delivery.attempts + 1
    return case((given > Delivery.attempts, given), else_=behind)


@cache
def _make_interrupted(dialect: str) -> Insert:
    given = _rows(dialect)
    values = {
        "delivery_id": Delivery.id.expression,
        "number": next_number(given["number"]),
        "kind": given["kind"],
        "actor": given["actor"],
        "url": given["url"],
        "outcome": literal_column(f"'{AttemptOutcome.INTERRUPTED}'"),
        "started_at": given["started_at"],
        "finished_at": given["finished_at"],
    }
    rows = select(*values.values()).join_from(given.source, Delivery, Delivery.id == given["id"])
    return insert(Attempt).from_select(list(values), rows)


@cache
def _count_interrupted(dialect: str) -> Update:
    given = _rows(dialect)
    return (
        update(Delivery)
        .where(Delivery.id == given["id"])
        .values(attempts=next_number(given["number"]), tries=Delivery.tries + given["tries"])
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
    """From a row that has these columns."""
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
    """The new values of status, due time and what belongs to a person's extra attempt.

    The same keys, so that many rows go into one statement; more of one that was dismissed. A
    `Repeat` changes none.
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
            values |= {
                "status": _reopened(delivery, reason) if is_first else delivery.prior_status,
                "due_at": delivery.prior_due_at or delivery.due_at,
                "finished_at": None if delivery.prior_status in OPEN else now,
            }
        case Restore(reason) if delivery.status in (*OPEN, DeliveryStatus.ON_HOLD):
            # It was dismissed and restored in the meantime, without the person's attempt.
            values |= {"status": _reopened(delivery, reason), "finished_at": None}
    if delivery.status == DeliveryStatus.DISMISSED:
        return _dismissed(values, now)
    return values


def _reopened(delivery: OpenDelivery, reason: Reason) -> DeliveryStatus:
    """Return Retrying once an attempt has failed. One that was cut off has not."""
    has_failed = reason is not Reason.INTERRUPTED or delivery.status == DeliveryStatus.RETRYING
    return DeliveryStatus.RETRYING if has_failed else DeliveryStatus.QUEUED


def _dismissed(values: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the same for one that was dismissed while it was being sent: it stays so, unless it
    has arrived."""
    if values["status"] == DeliveryStatus.DELIVERED:
        return values | NOT_DISMISSED
    is_so = {"status": DeliveryStatus.DISMISSED, "finished_at": now}
    return values | is_so | {"prior_status": values["status"]}


def failing_since(
    connection: Connection,
    ended: Mapping[int, Mapping[str, Any]],
    now: datetime,
    probes: Collection[int] = (),
) -> dict[int, datetime]:
    """Return the first failed attempt of those deliveries that count as failing from now on.

    `ended`: their new columns by their ids, of those whose attempt failed; it is stored already.
    What was cut off each time and has no attempt left counts from now. `probes`: whose attempts
    began while their webhooks were failing.
    """
    given = {"ids": as_json(ended)}
    rows = connection.execute(_failures(connection.dialect.name), given).all()
    failures = {row.delivery_id: row for row in rows}
    found = {}
    for id_, values in ended.items():
        many, first = failures[id_][1:] if id_ in failures else (0, None)
        is_taken = values["status"] == DeliveryStatus.DISMISSED
        status = values["prior_status"] if is_taken else values["status"]
        if status == DeliveryStatus.FAILED:
            found[id_] = first or now
        elif (
            status in OPEN
            and first
            and is_failing(many, values["due_at"], now, was_probe=id_ in probes)
        ):
            found[id_] = first
    return found


@cache
def _failures(dialect: str) -> Select[*tuple[Any, ...]]:
    """How many attempts have failed since it was last delivered, and when the first did."""
    before = aliased(Attempt)
    arrived = (
        select(func.max(before.number))
        .where(
            before.delivery_id == Attempt.delivery_id, before.outcome == AttemptOutcome.DELIVERED
        )
        .scalar_subquery()
    )
    return (
        select(Attempt.delivery_id, func.count(), func.min(Attempt.finished_at))
        .where(
            Attempt.delivery_id.in_(given_ids(dialect)),
            Attempt.outcome == AttemptOutcome.FAILED,
            Attempt.number > func.coalesce(arrived, 0),
        )
        .group_by(Attempt.delivery_id)
    )
