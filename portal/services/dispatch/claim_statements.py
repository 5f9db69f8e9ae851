"""The statements of a claim, built once: building one costs more than running it."""

from functools import cache, reduce
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import Insert

from portal.database.engine import NOW, UtcDateTime
from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import Delivery, Event, Lease, Priority, has_no_lease, is_open
from portal.models.webhooks import Webhook
from portal.services.core.rowset import Rowset, given_ids
from portal.services.dispatch.claim_types import DueDelivery, Locked, StoredEvent
from portal.services.outbox.due import head_of

TEST: Final[ColumnElement[Any]] = literal_column(str(int(Priority.TEST)))


@cache
def locked_webhooks(dialect: str) -> Select[*tuple[Any, ...]]:
    """`FOR NO KEY UPDATE`: events that are being stored meanwhile refer to the row and need not
    wait."""
    return (
        select(*(getattr(Webhook, name) for name in Locked._fields))
        .where(Webhook.id.in_(given_ids(dialect)))
        .order_by(Webhook.id)
        .with_for_update(key_share=True, skip_locked=True)
    )


@cache
def due_rows(dialect: str) -> Select[*tuple[Any, ...]]:
    """The first rows of each webhook and priority in `ROWS`, longest due first.

    PostgreSQL gives each its own number, and takes the rows out of the part that locks them: as
    they are once they are locked. SQLite, which cannot, gives all the largest number.
    """
    portions = _portions(dialect)
    first: Select[*tuple[Any, ...]] = (
        select(Delivery.id)
        .where(
            Delivery.webhook_id == portions.c.webhook,
            is_open(),
            Delivery.priority == portions.c.priority,
            Delivery.due_at <= NOW,
            has_no_lease(),
        )
        .order_by(Delivery.due_at, Delivery.id)
    )
    if dialect == "sqlite":
        chosen = aliased(Delivery)
        ids = first.limit(bindparam("most")).correlate(portions)
        rows = select(*_columns_of(chosen, dialect), portions.c.free)
        joined = rows.join_from(portions, chosen, chosen.id.in_(ids))
        return joined.order_by(chosen.due_at, chosen.id)
    told = first.with_only_columns(*_columns_of(Delivery, dialect), Delivery.due_at)
    locked = told.limit(portions.c.free).with_for_update(skip_locked=True)
    picked = locked.correlate(portions).lateral("picked")
    columns = (picked.c[name] for name in DueDelivery._fields if name != "free")
    rows = select(*columns, portions.c.free).select_from(portions).join(picked, true())
    return rows.order_by(picked.c.due_at, picked.c.id)


def _portions(dialect: str) -> Subquery:
    """What each webhook may have of each priority: no more than its share of the pump's places,
    and on PostgreSQL no more than its leases leave, as they are under its lock."""
    given = Rowset(dialect, webhook=Integer(), priority=Integer(), places=Integer(), cap=Integer())
    columns = [given["webhook"].label("webhook"), given["priority"].label("priority")]
    free: ColumnElement[int] = given["places"]
    if dialect != "sqlite":  # there nobody else can have leased anything since the look
        is_test = Lease.kind == literal_column(f"'{AttemptKind.TEST}'")
        leased = (
            select(func.count())
            .where(Lease.webhook_id == given["webhook"], Lease.until > NOW)
            .where(is_test == (given["priority"] == TEST))
            .correlate(given.source)
            .scalar_subquery()
        )
        free = func.greatest(literal_column("0"), func.least(free, given["cap"] - leased))
    return select(*columns, free.label("free")).select_from(given.source).subquery("portions")


@cache
def due_heads(dialect: str) -> Select[*tuple[Any, ...]]:
    """The heads of these webhooks' queues, as far as they are due, nobody has them, and nothing
    else is being sent."""
    is_test = Lease.kind == literal_column(f"'{AttemptKind.TEST}'")
    leased = select(Lease.delivery_id).where(
        Lease.webhook_id == Webhook.id, Lease.until > NOW, ~is_test
    )
    return (
        select(*_columns_of(Delivery, dialect), literal_column("1").label("free"))
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Webhook.id.in_(given_ids(dialect)),
            Delivery.id == head_of(Webhook.id.expression).correlate(Webhook),
            Delivery.due_at <= NOW,
            has_no_lease(),
            ~leased.correlate(Webhook).exists(),
        )
        .with_for_update(of=Delivery, skip_locked=True)
    )


@cache
def make_leases(dialect: str) -> Insert:
    """Lease the `ROWS`."""
    given = Rowset(
        dialect,
        id=BigInteger(),
        webhook=Integer(),
        number=Integer(),
        kind=String(),
        actor=String(),
        url=String(),
    )
    values: dict[str, ColumnElement[Any]] = {
        "delivery_id": given["id"],
        "webhook_id": given["webhook"],
        "token": bindparam("token", type_=Uuid()),
        "until": bindparam("until", type_=UtcDateTime()),
        "number": given["number"],
        "kind": given["kind"],
        "actor": given["actor"],
        "url": given["url"],
        "started_at": bindparam("started", type_=UtcDateTime()),
    }
    return insert(Lease).from_select(
        list(values), select(*values.values()).select_from(given.source)
    )


@cache
def event_bodies(dialect: str) -> Select[*tuple[Any, ...]]:
    """The events of what is leased; on PostgreSQL it is leased by the same statement."""
    columns = (getattr(Event, name) for name in StoredEvent._fields)
    events = select(*columns).where(Event.id.in_(given_ids(dialect)))
    return events if dialect == "sqlite" else events.add_cte(make_leases(dialect).cte("leased"))


def _columns_of(delivery: Any, dialect: str) -> list[ColumnElement[Any]]:
    """Those of a `DueDelivery`, but for the last."""
    return [
        delivery.id,
        _as_text(delivery.public_id, dialect).label("public_id"),
        delivery.webhook_id,
        delivery.event_id,
        delivery.event,
        delivery.tries,
        delivery.attempts,
        delivery.priority,
        delivery.prior_status,
        delivery.requested_by,
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
