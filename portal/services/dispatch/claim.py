"""Claim deliveries. Only the holder of a delivery's lease sends it.

One short transaction finds webhooks with due deliveries and locks their rows. It counts the
requests in flight to each and leases at most its free places. The lease also survives a crash.
"""

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, reduce
from itertools import accumulate
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import (
    AliasedReturnsRows,
    BigInteger,
    ColumnElement,
    Connection,
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
    update,
)
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import Insert

from portal.database.engine import NOW, UtcDateTime, database_now
from portal.engine.formats.chats import CHATS
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Event, Lease, Priority, has_no_lease, is_open
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.heartbeats import lease_owner
from portal.services.core.queries import Rowset, as_json, given_ids, update_rows
from portal.services.outbox import leases
from portal.services.outbox.claimable import (
    LONGEST_PACE,
    TEST_PLACES,
    Claimable,
    find_due,
    head_of,
    most_at_once,
)
from portal.services.outbox.sharding import Sharding, own_sharding
from portal.services.webhooks.rows import shown_url


# NamedTuples, like everything that is created per delivery. A frozen dataclass takes several times
# as long to create, and a column of a database row as long to read.
class DueDelivery(NamedTuple):
    """A delivery that can be sent now. `free`: limit of this kind for its webhook.

    `public_id` is in wire form. `attempts` counts ended attempts.
    """

    id: int
    public_id: str
    webhook_id: int
    event_id: int
    event: str
    tries: int
    attempts: int
    priority: int
    prior_status: str | None
    requested_by: str | None
    free: int

    @property
    def kind(self) -> AttemptKind:
        """Return the kind of an attempt made now."""
        if self.priority == Priority.TEST:
            return AttemptKind.TEST
        return AttemptKind.MANUAL if self.prior_status else AttemptKind.SCHEDULED


class Target(NamedTuple):
    """The columns of a webhook that sending needs, by the same names."""

    id: int
    public_id: UUID
    kind: str
    url: str
    url_is_secret: bool
    secret_enc: bytes | None
    old_secret_enc: bytes | None
    old_until: datetime | None
    headers_enc: bytes | None
    throttled: bool
    version: int
    format: str | None


class LockedWebhook(NamedTuple):
    """A webhook whose row a claim has locked, with its target and the columns that limit its
    quotas."""

    target: Target
    state: str
    deleted_at: datetime | None
    in_order: bool
    backoff_until: datetime | None
    next_at: datetime | None


class StoredEvent(NamedTuple):
    """The columns of an event that sending needs, by the same names."""

    id: int
    body: bytes
    occurred_at: datetime


# A newly leased delivery and its event.
Leased: TypeAlias = tuple[DueDelivery, StoredEvent]


class Quota(NamedTuple):
    """A webhook's quota for one priority. `cap`: limit of all dispatchers together."""

    webhook: int
    priority: Priority
    places: int
    cap: int
    is_head: bool


class LeaseTerms(NamedTuple):
    """The terms that all leases of one claim share. `now` and `until` use the database's clock."""

    now: datetime
    token: UUID
    until: datetime
    run: UUID | None
    started: datetime

    @property
    def given(self) -> dict[str, Any]:
        """Return the bind values for the statements that lease."""
        names = ("token", "until", "run", "started")
        return {name: getattr(self, name) for name in names}


class Claim(NamedTuple):
    """A delivery that this process can send until its lease ends. `tries` includes this attempt.

    `number`, `actor`, `started_at` and `shown_url` will be stored with the attempt. `started_at`
    identifies it later.
    """

    delivery_id: int
    public_id: str
    token: UUID
    number: int
    started_at: datetime
    kind: AttemptKind
    actor: str | None
    tries: int
    event: str
    occurred_at: datetime
    body: bytes
    webhook: Target
    shown_url: str


def claim(
    connection: Connection,
    places: int,
    reserved: int = 0,
    *,
    without: Collection[int] = (),
    may_be_lost: bool = False,
    sharding: Sharding = own_sharding,
) -> list[Claim]:
    """Claim up to `places` deliveries. `connection` is in a writing transaction.

    `reserved`: number of places for webhooks with nothing in flight.
    `without`: webhooks with unrecorded results, whose requests might be sent again.
    `may_be_lost`: the transaction does nothing else, so it need not wait for the disk. If a
    database crash loses a lease, a message is sent twice.
    `sharding`: excludes the webhooks that belong to other processes.
    """
    due = find_due(connection, may_be_lost=may_be_lost)
    allowed = [candidate for candidate in due.claimable if candidate.webhook_id not in without]
    chosen = sharding.choose(connection, allowed)
    sharding.note_pace(due)
    webhooks: Sequence[Claimable] = share_out(chosen, places, reserved)
    if due.now is None:
        return []
    if due.next_at and due.next_at > due.now + LONGEST_PACE:
        _forget_pace(connection, due.now)
    limit = settings().webhook_max_in_flight
    claims: list[Claim] = []
    while webhooks and len(claims) < places:
        room = places - len(claims)
        # Lock no more than needed, because other dispatchers get nothing for locked webhooks.
        batch = _as_many_as_fill(room, webhooks)
        webhooks = webhooks[len(batch) :]
        locked = _lock(connection, batch)
        _settle(connection, batch, locked, due.now)
        quotas = [
            quota
            for candidate in batch
            if (webhook := locked.get(candidate.webhook_id))
            for quota in _quotas(candidate, webhook, limit, due.now)
        ]
        if quotas:
            leased = _lease(connection, quotas, room, locked, due.now)
            _keep_pace(connection, leased, locked, due.now)
            claims += leased
    return claims


def _keep_pace(
    connection: Connection,
    leased: Sequence[Claim],
    locked: Mapping[int, LockedWebhook],
    now: datetime,
) -> None:
    """Delay the next delivery to each chat by its pace, also after a test."""
    formats = [(id_, key) for id_, each in locked.items() if (key := each.target.format)]
    chats = {id_: CHATS[key] for id_, key in formats if key in CHATS}
    if chats:
        sent = chats.keys() & {each.webhook.id for each in leased}
        rows = [{"id": id_, "next_at": now + chats[id_].pace} for id_ in sent]
        update_rows(connection, Webhook, rows)


def _forget_pace(connection: Connection, now: datetime) -> None:
    """Clear the pace of chats after the database's clock was set back, so that none waits for the
    clock."""
    too_far = select(Webhook.id).where(Webhook.next_at > now + LONGEST_PACE)
    free = too_far.with_for_update(key_share=True, skip_locked=True)
    connection.execute(update(Webhook).where(Webhook.id.in_(free)).values(next_at=None))


def warm_up(connection: Connection) -> None:
    """Run every statement of a claim without claiming, so that the first real claim finds them
    compiled."""
    now = database_now(connection)
    for may_be_lost in (True, False):
        find_due(connection, may_be_lost=may_be_lost)
    _lock(connection, [])
    quota = Quota(0, Priority.NORMAL, places=1, cap=1, is_head=False)
    _lease(connection, [quota, quota._replace(is_head=True)], 2, {}, now)
    _lease_rows(connection, [], _terms(now), {})


def _as_many_as_fill(room: int, webhooks: Sequence[Claimable]) -> Sequence[Claimable]:
    """Return the first webhooks that could take all the room."""
    total = accumulate(webhook.places + webhook.test_places for webhook in webhooks)
    filled = (count for count, sum_ in enumerate(total, 1) if sum_ >= room)
    return webhooks[: next(filled, len(webhooks))]


def _lock(connection: Connection, batch: Sequence[Claimable]) -> dict[int, LockedWebhook]:
    """Lock the webhooks that no other dispatcher is claiming for."""
    statement = locked_webhooks(connection.dialect.name)
    rows = connection.execute(statement, {"ids": as_json(webhook.webhook_id for webhook in batch)})
    split = len(Target._fields)
    return {row[0]: LockedWebhook(Target._make(row[:split]), *row[split:]) for row in rows.all()}


def _settle(
    connection: Connection,
    batch: Sequence[Claimable],
    locked: dict[int, LockedWebhook],
    now: datetime,
) -> None:
    """Turn expired leases into attempts. Deliveries with attempts left are due again."""
    ended = [
        webhook.webhook_id for webhook in batch if webhook.ended and webhook.webhook_id in locked
    ]
    if ended:
        leases.settle_ended(connection, ended, now)


def _quotas(due: Claimable, webhook: LockedWebhook, most: int, now: datetime) -> Iterator[Quota]:
    """Yield the quotas of a locked webhook, tests first, then by priority. Nobody else can claim
    for it or turn it off now."""
    if due.test_places and webhook.deleted_at is None:
        yield Quota(due.webhook_id, Priority.TEST, due.test_places, TEST_PLACES, is_head=False)
    if webhook.deleted_at is not None or webhook.state != WebhookState.ACTIVE:
        return
    target = webhook.target
    is_test_first = due.test_places and target.format
    if is_test_first or (webhook.next_at is not None and webhook.next_at > now):
        return
    cap = most_at_once(
        most, throttled=target.throttled, in_order=webhook.in_order, format_=target.format
    )
    is_paused = webhook.backoff_until is not None and webhook.backoff_until > now
    for priority in due.priorities if due.places else ():
        # In ordered mode the normal quota is the head of the queue, which probes at its own time.
        is_head = webhook.in_order and priority is Priority.NORMAL
        if priority is Priority.INTERACTIVE or is_head or not is_paused:
            yield Quota(due.webhook_id, priority, min(due.places, cap), cap, is_head)


def _lease(
    connection: Connection,
    quotas: Sequence[Quota],
    room: int,
    locked: Mapping[int, LockedWebhook],
    now: datetime,
) -> list[Claim]:
    """Lease up to `room` deliveries within the quotas. Tests have their own places. The others go
    by priority, then longest due first."""
    terms = _terms(now)
    addresses = {quota.webhook: "" for quota in quotas} | {
        id_: shown_url(webhook.target) for id_, webhook in locked.items()
    }
    heads = {quota.webhook for quota in quotas if quota.is_head}
    usual: list[Quota] = []
    behind: list[Quota] = []
    for quota in quotas:
        if not quota.is_head:
            # Bulk resends go behind the head of their queue.
            is_behind = quota.priority is Priority.BULK and quota.webhook in heads
            (behind if is_behind else usual).append(quota)
    leased = _lease_usual(connection, usual, room, terms, addresses)
    if heads and (left := room - len(leased)):
        values = {"ids": as_json(heads), "now": now}
        head_rows = connection.execute(due_heads(connection.dialect.name), values)
        rows = [DueDelivery._make(row) for row in head_rows.all()]
        leased += _lease_rows(connection, rows[:left], terms, addresses)
    busy = {row.webhook_id for row, _ in leased if row.priority != Priority.TEST}
    idle = [quota for quota in behind if quota.webhook not in busy]
    leased += _lease_usual(connection, idle, room - len(leased), terms, addresses)
    return [
        Claim(
            delivery_id=row.id,
            public_id=row.public_id,
            token=terms.token,
            number=row.attempts + 1,
            started_at=terms.started,
            kind=(kind := row.kind),
            actor=row.requested_by,
            tries=row.tries + (kind is AttemptKind.SCHEDULED),
            event=row.event,
            occurred_at=event.occurred_at,
            body=event.body,
            webhook=locked[row.webhook_id].target,
            shown_url=addresses[row.webhook_id],
        )
        for row, event in leased
    ]


def _lease_usual(
    connection: Connection,
    quotas: Sequence[Quota],
    room: int,
    terms: LeaseTerms,
    addresses: Mapping[int, str],
) -> list[Leased]:
    """Lease deliveries that are not the head of a queue."""
    if not quotas or not room:
        return []
    if connection.dialect.name == "sqlite":
        taken = _pick(connection, quotas, terms.now)[:room]
        return _lease_rows(connection, taken, terms, addresses)
    return _lease_at_once(connection, quotas, room, terms, addresses)


def _terms(now: datetime) -> LeaseTerms:
    """Return the terms of leases that start now."""
    until = now + timedelta(seconds=settings().lease_seconds)
    return LeaseTerms(now, uuid4(), until, lease_owner(), utcnow())


def _lease_at_once(
    connection: Connection,
    quotas: Sequence[Quota],
    room: int,
    terms: LeaseTerms,
    addresses: Mapping[int, str],
) -> list[Leased]:
    """Lease in one statement (PostgreSQL)."""
    rows = as_json(
        {
            "webhook": quota.webhook,
            "priority": quota.priority,
            "places": quota.places,
            "cap": quota.cap,
            "turn": turn,
            "url": addresses[quota.webhook],
        }
        for turn, quota in enumerate(quotas)
    )
    values = {"rows": rows, "room": room, "now": terms.now, **terms.given}
    leased = connection.execute(lease_rows(), values).all()
    # Many deliveries often share one event, whose body is sent only once.
    events = {
        row.event_id: StoredEvent(row.event_id, row[-2], row[-1]) for row in leased if row[-1]
    }
    return [(DueDelivery._make(row[:-2]), events[row.event_id]) for row in leased]


def _pick(connection: Connection, quotas: Sequence[Quota], now: datetime) -> list[DueDelivery]:
    """Return the deliveries to lease, in the order of the quotas (SQLite)."""
    by_quota: dict[Quota, list[DueDelivery]] = {}
    by_key = {(each.webhook, each.priority): each for each in quotas}
    rows = as_json(
        {"webhook": each.webhook, "priority": each.priority, "places": each.places}
        for each in quotas
    )
    values = {"rows": rows, "now": now, "most": max(each.places for each in quotas)}
    for row in connection.execute(due_rows(), values).all():
        due = DueDelivery._make(row)
        by_quota.setdefault(by_key[due.webhook_id, Priority(due.priority)], []).append(due)
    taken: list[DueDelivery] = []
    so_far: Counter[tuple[int, bool]] = Counter()
    for quota in quotas:
        for due in by_quota.get(quota, ()):
            counted = (quota.webhook, quota.priority is Priority.TEST)
            if so_far[counted] < due.free:
                so_far[counted] += 1
                taken.append(due)
    return taken


def _lease_rows(
    connection: Connection,
    taken: Sequence[DueDelivery],
    terms: LeaseTerms,
    addresses: Mapping[int, str],
) -> list[Leased]:
    """Lease these deliveries and read their events, which many often share."""
    dialect = connection.dialect.name
    rows = as_json(
        {
            "id": row.id,
            "webhook": row.webhook_id,
            "number": row.attempts + 1,
            "kind": row.kind,
            "actor": row.requested_by,
            "url": addresses[row.webhook_id],
        }
        for row in taken
    )
    connection.execute(make_leases(dialect), {"rows": rows, **terms.given})
    ids = {"ids": as_json({row.event_id for row in taken})}
    stored = connection.execute(event_bodies(dialect), ids)
    events = {row[0]: StoredEvent._make(row) for row in stored.all()}
    return [(row, events[row.event_id]) for row in taken]


TEST: Final[ColumnElement[Any]] = literal_column(str(int(Priority.TEST)))
# Columns of one lease, and columns that all leases of one claim share.
_OF_EACH: Final = ("delivery_id", "webhook_id", "number", "kind", "actor", "url")
_OF_ALL: Final[tuple[ColumnElement[Any], ...]] = (
    bindparam("token", type_=Uuid()),
    bindparam("until", type_=UtcDateTime()),
    bindparam("run", type_=Uuid()),
    bindparam("started", type_=UtcDateTime()),
)


@cache
def locked_webhooks(dialect: str) -> Select[*tuple[Any, ...]]:
    """Select webhooks `FOR NO KEY UPDATE`, so that events stored meanwhile can refer to them
    without waiting. They need no order, because skipping locked rows cannot deadlock."""
    return (
        select(*(getattr(Webhook, name) for name in (*Target._fields, *LockedWebhook._fields[1:])))
        .where(Webhook.id.in_(given_ids(dialect)))
        .with_for_update(key_share=True, skip_locked=True)
    )


@cache
def due_rows() -> Select[*tuple[Any, ...]]:
    """Select the first due rows of each webhook and priority in `ROWS`, longest due first (SQLite).
    Each gets the largest number of `places`."""
    quotas, chosen = _quota_rows("sqlite"), aliased(Delivery)
    ids = _first_due(quotas).limit(bindparam("most")).correlate(quotas)
    rows = select(*_columns_of(chosen, "sqlite"), quotas.c.free)
    joined = rows.join_from(quotas, chosen, chosen.id.in_(ids))
    return joined.order_by(chosen.due_at, chosen.id)


@cache
def lease_rows() -> Select[*tuple[Any, ...]]:
    """Lease the first rows of each webhook and priority in `ROWS`, at most `room` (PostgreSQL).

    Return the rows as they are once locked, with the event's body in the first row of each event. A
    single statement saves a round trip of the leased rows.
    """
    quotas = _quota_rows("postgresql")
    due = _first_due(quotas).with_only_columns(
        *_columns_of(Delivery, "postgresql"), Delivery.due_at
    )
    locked = due.limit(quotas.c.free).with_for_update(skip_locked=True)
    picked = locked.correlate(quotas).lateral("picked")
    in_turn = (quotas.c.turn, picked.c.due_at, picked.c.id)
    of_webhook = (picked.c.webhook_id, picked.c.priority == TEST)
    place = func.row_number().over(partition_by=of_webhook, order_by=in_turn).label("place")
    ranked = (
        select(picked, quotas.c.free, quotas.c.turn, quotas.c.url, place)
        .select_from(quotas)
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
    event = [
        case((is_first, column)).label(column.key) for column in (Event.body, Event.occurred_at)
    ]
    rows = select(*columns, *event).join(Event, Event.id == chosen.c.event_id)
    ordered = rows.order_by(chosen.c.turn, chosen.c.due_at, chosen.c.id)
    return ordered.add_cte(leased.cte("leased"))


def _first_due(quotas: AliasedReturnsRows) -> Select[*tuple[Any, ...]]:
    """Select the ids of the deliveries that a quota allows, longest due first."""
    return (
        select(Delivery.id)
        .where(
            Delivery.webhook_id == quotas.c.webhook,
            is_open(),
            Delivery.priority == quotas.c.priority,
            Delivery.due_at <= NOW,
            has_no_lease(),
        )
        .order_by(Delivery.due_at, Delivery.id)
    )


def _quota_rows(dialect: str) -> AliasedReturnsRows:
    """Return the quotas with their free places.

    These are at most the webhook's share of the dispatcher's places. On PostgreSQL its leases,
    counted under its lock, reduce them further.
    """
    columns: dict[str, Any] = dict.fromkeys(("webhook", "priority", "places", "cap"), Integer())
    rowset = Rowset(dialect, **columns, turn=Integer(), url=String())
    labeled = [rowset[name].label(name) for name in ("webhook", "priority", "turn", "url")]
    free: ColumnElement[int] = rowset["places"]
    if dialect != "sqlite":  # on SQLite nobody else can have leased since the poll
        is_test = Lease.kind == _kind(AttemptKind.TEST)
        leased = (
            select(func.count())
            .where(Lease.webhook_id == rowset["webhook"], Lease.until > NOW)
            .where(is_test == (rowset["priority"] == TEST))
            .correlate(rowset.source)
            .scalar_subquery()
        )
        free = func.greatest(literal_column("0"), func.least(free, rowset["cap"] - leased))
    rows = select(*labeled, free.label("free")).select_from(rowset.source)
    if dialect == "sqlite":
        return rows.subquery("portions")
    # Otherwise the leases would be counted again for each picked row.
    return rows.cte("portions").prefix_with("MATERIALIZED")


def _kind(kind: AttemptKind) -> ColumnElement[str]:
    return literal_column(f"'{kind}'")


@cache
def due_heads(dialect: str) -> Select[*tuple[Any, ...]]:
    """Select the due and unleased heads of these webhooks' queues, if nothing else is in flight."""
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
    """Insert leases for the `ROWS`."""
    columns: dict[str, Any] = dict.fromkeys(("kind", "actor", "url"), String())
    given = Rowset(dialect, id=BigInteger(), webhook=Integer(), number=Integer(), **columns)
    names = ("id", "webhook", "number", "kind", "actor", "url")
    return _made_of(select(*(given[name] for name in names), *_OF_ALL).select_from(given.source))


def _made_of(rows: Select[*tuple[Any, ...]]) -> Insert:
    """Insert leases from rows with the columns `_OF_EACH` and `_OF_ALL`."""
    return insert(Lease).from_select([*_OF_EACH, "token", "until", "run", "started_at"], rows)


@cache
def event_bodies(dialect: str) -> Select[*tuple[Any, ...]]:
    columns = (getattr(Event, name) for name in StoredEvent._fields)
    return select(*columns).where(Event.id.in_(given_ids(dialect)))


def _columns_of(delivery: Any, dialect: str) -> list[ColumnElement[Any]]:
    """Return the columns of a `DueDelivery` except the last."""
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
    """Return the wire form, because creating a UUID per delivery takes longer than sending it."""
    if dialect != "sqlite":
        return cast(uuid, Text)
    digits = type_coerce(uuid, Text)  # without the hyphens
    parts = [
        func.substr(digits, literal_column(str(first)), literal_column(str(count)), type_=Text)
        for first, count in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    ]
    hyphen = literal_column("'-'", Text)
    return reduce(lambda left, right: left + hyphen + right, parts)


SHARE: Final = 8


def reserved_of(most: int) -> int:
    """Return the number of a dispatcher's places for webhooks with nothing in flight."""
    return most // SHARE


def share_out(webhooks: Sequence[Claimable], places: int, reserved: int) -> list[Claimable]:
    """Share `places` free places among the webhooks and return these in the order of claiming.

    Webhooks with the least in flight come first, shuffled among equals. With fewer places than
    webhooks, none is always last.
    """
    shuffled = random.sample(webhooks, len(webhooks))
    in_turn = sorted(shuffled, key=_taken)
    if sum(webhook.places for webhook in in_turn) <= places - reserved:
        return in_turn
    extra = max(0, places - reserved - sum(map(_first, in_turn)))
    shared = []
    for webhook in in_turn:
        more = min(extra, webhook.places - _first(webhook))
        extra -= more
        shared.append(webhook._replace(places=_first(webhook) + more))
    return [webhook for webhook in shared if webhook.places or webhook.test_places]


def _taken(due: Claimable) -> int:
    """Return the number of places in use. A probe can hang, so it comes after webhooks with none in
    use. It does not come after all healthy ones, or a recovered receiver would wait for a quiet
    hour."""
    return max(due.leased, int(due.throttled))


def _first(due: Claimable) -> int:
    """Return the place that waits for nobody, which is the first one or that of a person's
    Retry."""
    is_first = due.leased == 0 and not due.throttled
    is_first = is_first or Priority.INTERACTIVE in due.priorities
    return min(due.places, 1) if is_first else 0
