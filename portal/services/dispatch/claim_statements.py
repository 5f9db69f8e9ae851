"""The statements of a claim, built once: building one costs more than running it."""

from functools import cache, reduce
from typing import Any, Final

from sqlalchemy import (
    AliasedReturnsRows,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    Text,
    Uuid,
    bindparam,
    case,
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
# A lease's columns: its own, and those that all leases of one claim have alike.
_OF_EACH: Final = ("delivery_id", "webhook_id", "number", "kind", "actor", "url")
_OF_ALL: Final[tuple[ColumnElement[Any], ...]] = (
    bindparam("token", type_=Uuid()),
    bindparam("until", type_=UtcDateTime()),
    bindparam("run", type_=Uuid()),
    bindparam("started", type_=UtcDateTime()),
)


@cache
def locked_webhooks(dialect: str) -> Select[*tuple[Any, ...]]:
    """`FOR NO KEY UPDATE`: events that are being stored meanwhile refer to the row and need not
    wait. In no order: who waits for no row waits for nobody in turn."""
    return (
        select(*(getattr(Webhook, name) for name in Locked._fields))
        .where(Webhook.id.in_(given_ids(dialect)))
        .with_for_update(key_share=True, skip_locked=True)
    )


@cache
def due_rows() -> Select[*tuple[Any, ...]]:
    """SQLite: the first rows of each webhook and priority in `ROWS`, longest due first. All are
    given the largest number of `places`."""
    portions, chosen = _portion_rows("sqlite"), aliased(Delivery)
    ids = _first_due(portions).limit(bindparam("most")).correlate(portions)
    rows = select(*_columns_of(chosen, "sqlite"), portions.c.free)
    joined = rows.join_from(portions, chosen, chosen.id.in_(ids))
    return joined.order_by(chosen.due_at, chosen.id)


@cache
def lease_rows() -> Select[*tuple[Any, ...]]:
    """PostgreSQL: lease the first rows of each webhook and priority in `ROWS`, at most `room`, and
    read them as they are once they are locked; the first of each event has its body.

    One statement, for what is leased would else travel here and back again.
    """
    portions = _portion_rows("postgresql")
    told = _first_due(portions).with_only_columns(
        *_columns_of(Delivery, "postgresql"), Delivery.due_at
    )
    locked = told.limit(portions.c.free).with_for_update(skip_locked=True)
    picked = locked.correlate(portions).lateral("picked")
    in_turn = (portions.c.turn, picked.c.due_at, picked.c.id)
    of_webhook = (picked.c.webhook_id, picked.c.priority == TEST)
    place = func.row_number().over(partition_by=of_webhook, order_by=in_turn).label("place")
    ranked = (
        select(picked, portions.c.free, portions.c.turn, portions.c.url, place)
        .select_from(portions)
        .join(picked, true())
        .subquery("ranked")
    )
    in_turn = (ranked.c.turn, ranked.c.due_at, ranked.c.id)
    taken = select(ranked).where(ranked.c.place <= ranked.c.free).order_by(*in_turn)
    chosen = taken.limit(bindparam("room", type_=Integer())).cte("chosen")
    kind = case(
        (chosen.c.priority == TEST, _kind(AttemptKind.TEST)),
        (chosen.c.prior_status.is_not(None), _kind(AttemptKind.MANUAL)),
        else_=_kind(AttemptKind.SCHEDULED),
    )
    leased = _made_of(
        select(
            chosen.c.id,
            chosen.c.webhook_id,
            chosen.c.attempts + literal_column("1"),
            kind,
            chosen.c.requested_by,
            chosen.c.url,
            *_OF_ALL,
        )
    )
    number = func.row_number().over(partition_by=chosen.c.event_id, order_by=chosen.c.id)
    is_first = number == literal_column("1")
    columns = [chosen.c[name] for name in DueDelivery._fields]
    event = [case((is_first, each)).label(each.key) for each in (Event.body, Event.occurred_at)]
    rows = select(*columns, *event).join(Event, Event.id == chosen.c.event_id)
    ordered = rows.order_by(chosen.c.turn, chosen.c.due_at, chosen.c.id)
    return ordered.add_cte(leased.cte("leased"))


def _first_due(portions: AliasedReturnsRows) -> Select[*tuple[Any, ...]]:
    """The ids of what a portion may have, longest due first."""
    return (
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


def _portion_rows(dialect: str) -> AliasedReturnsRows:
    """What each webhook may have of each priority: no more than its share of the pump's places,
    and on PostgreSQL no more than its leases leave, as they are under its lock."""
    columns: dict[str, Any] = dict.fromkeys(("webhook", "priority", "places", "cap"), Integer())
    given = Rowset(dialect, **columns, turn=Integer(), url=String())
    told = [given[name].label(name) for name in ("webhook", "priority", "turn", "url")]
    free: ColumnElement[int] = given["places"]
    if dialect != "sqlite":  # there nobody else can have leased anything since the look
        is_test = Lease.kind == _kind(AttemptKind.TEST)
        leased = (
            select(func.count())
            .where(Lease.webhook_id == given["webhook"], Lease.until > NOW)
            .where(is_test == (given["priority"] == TEST))
            .correlate(given.source)
            .scalar_subquery()
        )
        free = func.greatest(literal_column("0"), func.least(free, given["cap"] - leased))
    rows = select(*told, free.label("free")).select_from(given.source)
    if dialect == "sqlite":
        return rows.subquery("portions")
    # Else the leases would be counted anew for each row that is picked.
    return rows.cte("portions").prefix_with("MATERIALIZED")


def _kind(kind: AttemptKind) -> ColumnElement[str]:
    return literal_column(f"'{kind}'")


@cache
def due_heads(dialect: str) -> Select[*tuple[Any, ...]]:
    """The heads of these webhooks' queues, as far as they are due, nobody has them, and nothing
    else is being sent."""
    is_test = Lease.kind == _kind(AttemptKind.TEST)
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
    columns: dict[str, Any] = dict.fromkeys(("kind", "actor", "url"), String())
    given = Rowset(dialect, id=BigInteger(), webhook=Integer(), number=Integer(), **columns)
    names = ("id", "webhook", "number", "kind", "actor", "url")
    return _made_of(select(*(given[name] for name in names), *_OF_ALL).select_from(given.source))


def _made_of(rows: Select[*tuple[Any, ...]]) -> Insert:
    """Leases of these: delivery, webhook, number, kind, actor, address, and what all have."""
    return insert(Lease).from_select([*_OF_EACH, "token", "until", "run", "started_at"], rows)


@cache
def event_bodies(dialect: str) -> Select[*tuple[Any, ...]]:
    """These events."""
    columns = (getattr(Event, name) for name in StoredEvent._fields)
    return select(*columns).where(Event.id.in_(given_ids(dialect)))


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
