"""Ending leases: each becomes its attempt, and a delivery that simply arrived is marked so.

What nearly every result comes to, in as few statements as the database allows: on PostgreSQL one,
for each costs a message there and back, and reading the same rows from JSON again.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Update,
    Uuid,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy import Sequence as IdSequence
from sqlalchemy.sql.dml import Delete, ReturningInsert

from portal.database.engine import UtcDateTime
from portal.models.deliveries import (
    Attempt,
    AttemptBody,
    AttemptOutcome,
    Delivery,
    DeliveryStatus,
    Lease,
    Priority,
)
from portal.services.core.rowset import Rowset, as_json, given_ids
from portal.services.dispatch import attempts
from portal.services.dispatch.attempts import BEGUN, BODY, END, body_of, end_of
from portal.services.dispatch.results import Result
from portal.services.outbox.leases import next_number

# A success changes nothing of such a delivery but its status, as of nearly all.
_IS_PLAIN: Final[ColumnElement[bool]] = and_(
    Delivery.priority == literal_column(str(int(Priority.NORMAL))),
    Delivery.prior_status.is_(None),
    Delivery.requested_by.is_(None),
    Delivery.stopped_by.is_(None),
    Delivery.reason.is_(None),
)
_ATTEMPT_IDS: Final = IdSequence("attempts_id_seq")  # of PostgreSQL, as the migrations made it
_ARRIVED: Final[ColumnElement[Any]] = literal_column(f"'{AttemptOutcome.DELIVERED}'")


class LeasedDelivery(NamedTuple):
    """A delivery that was being sent, which nobody else changes before we have.

    `attempts`: how many have ended before. `is_plain`: a success changes nothing of it but the
    status.
    """

    id: int
    attempts: int
    priority: int
    prior_status: str | None
    is_plain: bool


def end(
    connection: Connection, results: Sequence[Result], now: datetime
) -> dict[int, LeasedDelivery]:
    """End the leases that are still the ones that were sent under: each becomes its attempt.

    Of different deliveries, whose webhooks are locked. Returns those whose lease it was, as they
    stood before; what arrived of the plain ones has its new status, and the others do not yet.
    """
    if connection.dialect.name == "sqlite":
        return _end_in_steps(connection, results, now)
    rows = as_json(
        {**_key_of(each), **end_of(each), **body_of(each), **_attempt_values(each)} for each in results
    )
    found = connection.execute(_end_at_once(), {"rows": rows, "now": now})
    return {row[0]: LeasedDelivery._make(row) for row in found.all()}


def _key_of(result: Result) -> dict[str, Any]:
    return {"delivery_id": result.claim.delivery_id, "token": result.claim.token}


def _attempt_values(result: Result) -> dict[str, Any]:
    return {"tries": result.claim.tries, "took_ms": result.took_ms}


@cache
def _end_at_once() -> Select[*tuple[Any, ...]]:
    """The columns of `LeasedDelivery`, as they were: a statement does not see what it writes."""
    table, bodies = Attempt.__table__, AttemptBody.__table__
    types = {name: table.c[name].type for name in END}
    types |= {name: bodies.c[name].type for name in BODY}
    counts = {"tries": Integer(), "took_ms": Integer()}
    given = Rowset("postgresql", delivery_id=BigInteger(), token=Uuid(), **types, **counts)
    told = [given[name] for name in (*types, *counts)]
    is_same = and_(Lease.delivery_id == given["delivery_id"], Lease.token == given["token"])
    begun = [getattr(Lease, name) for name in BEGUN]
    gone = delete(Lease).where(is_same).returning(*begun, *told).cte("gone")
    number = next_number(gone.c.number).label("next_number")
    standing = (Delivery.attempts, Delivery.priority, Delivery.prior_status)
    # The ids are known before: two of these joined would be compared each with each, for the
    # planner takes them for one row.
    attempt_id = _ATTEMPT_IDS.next_value().label("attempt_id")
    before = (
        select(gone, number, attempt_id, *standing, _IS_PLAIN.label("is_plain"))
        .join(Delivery, Delivery.id == gone.c.delivery_id)
        .cte("before")
    )
    values = {name: before.c[name] for name in (*BEGUN, *END)}
    values |= {"id": before.c.attempt_id, "number": before.c.next_number}
    made = insert(Attempt).from_select(list(values), select(*values.values()))
    texts = select(before.c.attempt_id, *(before.c[name] for name in BODY))
    kept = insert(AttemptBody).from_select(["attempt_id", *BODY], texts)
    is_over = and_(Delivery.id == before.c.delivery_id, before.c.is_plain)
    arrived = (
        update(Delivery)
        .where(is_over, before.c.outcome == _ARRIVED)
        .values(
            attempts=before.c.next_number,
            **{name: before.c[name] for name in ("tries", "code", "took_ms")},
            **_delivered_values(),
        )
    )
    columns = [before.c[name] for name in ("attempts", "priority", "prior_status", "is_plain")]
    written = made.cte("made"), kept.cte("kept"), arrived.cte("arrived")
    return select(before.c.delivery_id, *columns).add_cte(*written)


def read(connection: Connection, ids: Sequence[int]) -> dict[int, LeasedDelivery]:
    """These deliveries, by their ids. Their webhooks are locked."""
    found = connection.execute(_by_id(connection.dialect.name), {"ids": as_json(ids)})
    return {row[0]: LeasedDelivery._make(row) for row in found.all()}


@cache
def _by_id(dialect: str) -> Select[*tuple[Any, ...]]:
    """The columns of `LeasedDelivery`."""
    columns = (Delivery.id, Delivery.attempts, Delivery.priority, Delivery.prior_status)
    return select(*columns, _IS_PLAIN).where(Delivery.id.in_(given_ids(dialect)))


def _end_in_steps(
    connection: Connection, results: Sequence[Result], now: datetime
) -> dict[int, LeasedDelivery]:
    rows = as_json({**_key_of(each), **end_of(each)} for each in results)
    made = connection.execute(_make_attempts(), {"rows": rows}).all()
    ids = {row[0]: row[1] for row in made}
    if not ids:
        return {}
    connection.execute(_remove_leases(), {"ids": as_json(ids)})
    ended = [each for each in results if each.claim.delivery_id in ids]
    attempts.write_bodies(connection, [(each, ids[each.claim.delivery_id]) for each in ended])
    standings = read(connection, list(ids))
    plain = [
        {
            "id": (before := standings[each.claim.delivery_id]).id,
            "attempts": max(each.claim.number, before.attempts + 1),
            "code": each.outcome.code,
            **_attempt_values(each),
        }
        for each in ended
        if each.outcome.reason is None and standings[each.claim.delivery_id].is_plain
    ]
    if plain:
        connection.execute(_deliver(), {"rows": as_json(plain), "now": now})
    return standings


@cache
def _make_attempts() -> ReturningInsert[*tuple[Any, ...]]:
    table = Attempt.__table__
    types = {name: table.c[name].type for name in END}
    given = Rowset("sqlite", delivery_id=BigInteger(), token=Uuid(), **types)
    values: dict[str, Any] = {name: given[name] for name in END}
    values |= {name: getattr(Lease, name) for name in BEGUN}
    values["number"] = next_number(Lease.number)
    is_same = and_(Lease.delivery_id == given["delivery_id"], Lease.token == given["token"])
    rows = (
        select(*values.values())
        .select_from(given.source)
        .join(Lease, is_same)
        .join(Delivery, Delivery.id == Lease.delivery_id)
    )
    made = insert(Attempt).from_select(list(values), rows)
    return made.returning(Attempt.delivery_id, Attempt.id)


@cache
def _remove_leases() -> Delete:
    return delete(Lease).where(Lease.delivery_id.in_(given_ids("sqlite")))


@cache
def _deliver() -> Update:
    names = ("attempts", "tries", "code", "took_ms")
    given = Rowset("sqlite", id=BigInteger(), **dict.fromkeys(names, Integer()))
    values = {name: given[name] for name in names}
    return update(Delivery).where(Delivery.id == given["id"]).values(**values, **_delivered_values())


def _delivered_values() -> dict[str, Any]:
    """What all plain successes get, said once."""
    return {
        "status": literal_column(f"'{DeliveryStatus.DELIVERED}'"),
        "finished_at": bindparam("now", type_=UtcDateTime()),
    }
