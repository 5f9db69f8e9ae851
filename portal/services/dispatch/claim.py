"""Claiming: whoever holds a delivery's lease sends it, and nobody else does.

One short transaction locks each webhook with something due, counts what is being sent to it, takes
no more than its free places, and leaves an attempt that reads `interrupted` until it is recorded.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import accumulate
from typing import Any, TypeAlias
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    Update,
    Uuid,
    bindparam,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert

from portal.database.engine import UtcDateTime, database_now
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptOutcome, Delivery, Event, Priority
from portal.models.webhooks import Webhook
from portal.services.core.rowset import Rowset, as_json, given_ids
from portal.services.dispatch.claim_rows import take
from portal.services.dispatch.claim_types import Claim, DueDelivery, StoredEvent, Target
from portal.services.dispatch.fairness import share_out, within
from portal.services.outbox.due import Claimable, find_wanted, live_leases
from portal.services.webhooks.inbox.address import shown_url

Taken: TypeAlias = list[tuple[DueDelivery, AttemptKind]]


def claim(connection: Connection, places: int, kept: int = 0) -> list[Claim]:
    """Claim up to `places` deliveries. `connection` is in a writing transaction.

    `kept`: so many of the places are for webhooks to which nothing is being sent (`fairness`).
    """
    now, started_at = database_now(connection), utcnow()
    wanted: Sequence[Claimable] = share_out(find_wanted(connection, now), places, kept)
    webhooks: dict[int, Target] = {}
    taken: Taken = []
    while wanted and len(taken) < places:
        room = places - len(taken)
        # No more than it takes: another pump gets nothing of what is locked here.
        some = _as_many_as_fill(room, wanted)
        wanted = wanted[len(some) :]
        locked = _lock(connection, [each.webhook_id for each in some])
        webhooks |= locked
        taken += take(connection, _exactly(connection, some, locked, now), room, now)
    return _lease(connection, taken, webhooks, now, started_at) if taken else []


def rehearse(connection: Connection) -> None:
    """Claim nothing, by every statement of a claim: the first real one finds them all compiled."""
    now = database_now(connection)
    find_wanted(connection, now)
    live_leases(connection, [], now)
    find_wanted(connection, now, among=_lock(connection, []))
    nobody = Claimable(0, in_order=False, test_places=0, places=1, priorities=(Priority.NORMAL,))
    take(connection, [nobody], 1, now)
    _lease(connection, [], {}, now, now)


def _exactly(
    connection: Connection, some: Sequence[Claimable], locked: dict[int, Target], now: datetime
) -> Sequence[Claimable]:
    """What they want now that nobody else can claim for them or turn them off: cap, probe and
    order are exact by it. On SQLite nobody could from the first line on."""
    if connection.dialect.name == "sqlite":
        return some
    return within(find_wanted(connection, now, among=locked), some) if locked else []


def _as_many_as_fill(room: int, wanted: Sequence[Claimable]) -> Sequence[Claimable]:
    """The first of them that could take up all the room there is."""
    total = accumulate(each.places + each.test_places for each in wanted)
    return wanted[: next((n for n, sum_ in enumerate(total, 1) if sum_ >= room), len(wanted))]


def _lock(connection: Connection, ids: Sequence[int]) -> dict[int, Target]:
    """Lock the webhooks that no other pump is claiming for."""
    statement = _locked_webhooks(connection.dialect.name)
    found = connection.execute(statement, {"ids": as_json(ids)})
    return {row[0]: Target._make(row) for row in found.all()}


@cache
def _locked_webhooks(dialect: str) -> Select[*tuple[Any, ...]]:
    """`FOR NO KEY UPDATE`: events that are being stored meanwhile refer to the row and need not
    wait."""
    return (
        select(*(getattr(Webhook, name) for name in Target._fields))
        .where(Webhook.id.in_(given_ids(dialect)))
        .order_by(Webhook.id)
        .with_for_update(key_share=True, skip_locked=True)
    )


def _lease(
    connection: Connection,
    taken: Taken,
    webhooks: dict[int, Target],
    now: datetime,
    started_at: datetime,
) -> list[Claim]:
    token = uuid4()
    until = now + timedelta(seconds=settings().lease_seconds)
    rows = as_json(
        {
            "id": row.id,
            "kind": kind,
            "counted": int(kind is AttemptKind.SCHEDULED),
            "url": shown_url(webhooks[row.webhook_id]),
        }
        for row, kind in taken
    )
    leases = _take_leases(connection.dialect.name)
    connection.execute(leases, {"rows": rows, "token": token, "until": until})
    attempts = _open_attempts(connection, rows, started_at)
    events = _events(connection, {row.event_id for row, _ in taken})
    return [
        Claim(
            delivery_id=row.id,
            public_id=row.public_id,
            token=token,
            attempt_id=attempts[row.id],
            kind=kind,
            tries=row.tries + (kind is AttemptKind.SCHEDULED),
            event=row.event,
            occurred_at=events[row.event_id].occurred_at,
            body=events[row.event_id].body,
            webhook=webhooks[row.webhook_id],
        )
        for row, kind in taken
    ]


def _open_attempts(connection: Connection, rows: str, started_at: datetime) -> dict[int, int]:
    """Insert an attempt for each delivery; return its id by the delivery's."""
    statement = _make_attempts(connection.dialect.name)
    made = connection.execute(statement, {"rows": rows, "started": started_at})
    return {delivery_id: attempt_id for attempt_id, delivery_id in made.all()}


def _events(connection: Connection, ids: Iterable[int]) -> dict[int, StoredEvent]:
    """Apart from the deliveries, since many of these often share one body."""
    statement = _event_bodies(connection.dialect.name)
    found = connection.execute(statement, {"ids": as_json(ids)})
    return {row[0]: StoredEvent._make(row) for row in found.all()}


@cache
def _take_leases(dialect: str) -> Update:
    given = Rowset(dialect, id=BigInteger(), counted=Integer())
    return (
        update(Delivery)
        .where(Delivery.id == given["id"])
        .values(
            lease_token=bindparam("token", type_=Uuid()),
            lease_until=bindparam("until", type_=UtcDateTime()),
            tries=Delivery.tries + given["counted"],
            attempts=Delivery.attempts + 1,
        )
    )


@cache
def _make_attempts(dialect: str) -> ReturningInsert[int, int]:
    given = Rowset(dialect, id=BigInteger(), kind=String(), url=String())
    values: dict[str, ColumnElement[Any]] = {
        "delivery_id": Delivery.id.expression,
        "number": Delivery.attempts.expression,
        "kind": given["kind"],
        "actor": Delivery.requested_by.expression,
        "url": given["url"],
        "outcome": literal_column(f"'{AttemptOutcome.INTERRUPTED}'"),
        "started_at": bindparam("started", type_=UtcDateTime()),
    }
    rows = select(*values.values()).join_from(given.source, Delivery, Delivery.id == given["id"])
    make = insert(Attempt).from_select(list(values), rows)
    return make.returning(Attempt.id, Attempt.delivery_id)


@cache
def _event_bodies(dialect: str) -> Select[*tuple[Any, ...]]:
    columns = (getattr(Event, name) for name in StoredEvent._fields)
    return select(*columns).where(Event.id.in_(given_ids(dialect)))
