"""Find claimable deliveries, in the same way for the dispatcher, its maintenance and its
notifiers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Exists,
    Integer,
    ScalarSelect,
    Select,
    Subquery,
    TextualSelect,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from portal.database.engine import AnyRow, clock
from portal.engine.formats.chats import CHATS
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import frozen_at
from portal.models.deliveries import (
    IS_OPEN,
    Delivery,
    Lease,
    Priority,
    has_no_live_lease,
    is_open,
)
from portal.models.operations import SendingSwitch
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.queries import capped, skip_scan
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session


class WaitsFor(StrEnum):
    """The reason why an open delivery waits beyond its own time.

    RECEIVER: its receiver is backed off. ORDER: an older delivery goes first. The others apply once
    it is due. PACE: its chat takes one at a time. CONNECTION: this machine cannot connect. PLACES:
    its webhook has no free place.
    """

    RECEIVER = "receiver"
    ORDER = "order"
    PACE = "pace"
    CONNECTION = "connection"
    PLACES = "places"


TEST_PLACES: Final = 1
# Longer than any pace. If a chat's next delivery has been due for longer, nobody sends to it, so
# its pace is not the reason. If it is due later than this, the clock was set back.
LONGEST_PACE: Final = timedelta(seconds=5)


class Claimable(NamedTuple):
    """The number and the priorities of deliveries that can be claimed for a webhook now.

    `leased`: number in flight, without tests. `ended`: number of expired leases. `throttled`: its
    receiver is in trouble. `next_at`: since when its chat takes one.
    """

    webhook_id: int
    test_places: int
    places: int
    priorities: tuple[Priority, ...]
    leased: int = 0
    ended: int = 0
    throttled: bool = False
    next_at: datetime | None = None


class DueWebhooks(NamedTuple):
    """The result of one poll. `now`: the database's clock, or None if nothing is open. `next_at`:
    when the first chat with an open delivery takes its next one, if that is ahead."""

    now: datetime | None
    claimable: list[Claimable]
    next_at: datetime | None


class Flags(NamedTuple):
    """A webhook with its leases, and the priorities of due deliveries that it has room for.

    `is_single`: one delivery at a time, in order or at a chat's pace.
    """

    now: datetime
    id: int
    is_single: bool
    throttled: bool
    next_at: datetime | None
    due_0: bool
    due_1: bool
    due_2: bool
    due_3: bool
    tests: int | None
    others: int | None
    ended: int | None


def has_claimable() -> bool:
    """Return whether a claim would get anything now. Reads only."""
    return bool(find_due(session().connection()).claimable)


def find_due(connection: Connection, *, may_be_lost: bool = False) -> DueWebhooks:
    """Return the webhooks with due deliveries and a free place, and their free places.

    Exact if nobody else can claim meanwhile. `may_be_lost`: the writes of this transaction need not
    survive a database crash (`_due_webhooks`).
    """
    statement = _due_webhooks(connection.dialect.name, may_be_lost=may_be_lost)
    limit = settings().webhook_max_in_flight
    parameters = {"now": frozen_at(), "most": limit}
    flags = [Flags._make(row) for row in connection.execute(statement, parameters).all()]
    webhooks = [_free_places(webhook, limit) for webhook in flags]
    now = flags[0].now if flags else None
    ahead = [
        webhook.next_at for webhook in flags if webhook.next_at and webhook.next_at > webhook.now
    ]
    claimable = [webhook for webhook in webhooks if webhook.test_places or webhook.places]
    return DueWebhooks(now, claimable, min(ahead, default=None))


def _free_places(row: Flags, most: int) -> Claimable:
    """Return the free places of a webhook, given its live leases."""
    due = {Priority.INTERACTIVE: row.due_1, Priority.NORMAL: row.due_2, Priority.BULK: row.due_3}
    priorities = tuple(priority for priority, is_due in due.items() if is_due)
    cap = 1 if row.throttled or row.is_single else most
    others = row.others or 0
    return Claimable(
        row.id,
        test_places=max(0, TEST_PLACES - (row.tests or 0)) if row.due_0 else 0,
        places=max(0, cap - others) if priorities else 0,
        priorities=priorities,
        leased=others,
        ended=row.ended or 0,
        throttled=row.throttled,
        next_at=row.next_at,
    )


def most_at_once(most: int, *, throttled: bool, in_order: bool, format_: str | None) -> int:
    """Return the limit of deliveries in flight to a webhook, without tests. `most`:
    `webhook_max_in_flight`."""
    return 1 if throttled or in_order or format_ is not None else most


# Statements are built once, because building one costs more than running it.
@cache
def _due_webhooks(dialect: str, *, may_be_lost: bool) -> Select[*tuple[Any, ...]]:
    """Select the `Flags` of every webhook with an open row, or none while all sending is stopped.

    The statement steps from webhook to webhook in the index of open rows. So the cost grows with
    the number of webhooks, never with their backlog.
    """
    moment = clock(dialect)
    walk, leased = with_open_rows(dialect).cte(), _leases(moment)
    counts = (leased.c.tests, leased.c.others, leased.c.ended)
    cap = case(
        # The chat takes no other delivery yet.
        (and_(Webhook.next_at.is_not(None), Webhook.next_at > moment), 0),
        (or_(Webhook.throttled, _is_single()), 1),
        else_=bindparam("most", type_=Integer()),
    )
    # Due deliveries of a full webhook wait for those in flight, so they are not looked up.
    has_room = func.coalesce(leased.c.others, literal_column("0")) < cap
    flags = select(moment.label("now"), *_due_flags(moment, has_room), *counts).where(is_on())
    if may_be_lost and dialect == "postgresql":
        # Set here, because a separate statement would cost as much time as this saves.
        flags = flags.where(func.set_config("synchronous_commit", "off", true()).is_not(None))
    joined = flags.join(walk, walk.c.id == Webhook.id)
    return joined.outerjoin(leased, leased.c.webhook_id == Webhook.id)


def _is_single() -> ColumnElement[bool]:
    # Every format is a chat's. SQLite would build a table from an IN list.
    return or_(Webhook.in_order, Webhook.format.is_not(None))


def _leases(moment: ColumnElement[datetime]) -> Subquery:
    """Count the live tests, the other live leases and the expired leases of each webhook."""
    is_test = Lease.kind == literal_column(f"'{AttemptKind.TEST}'")
    is_live = Lease.until > moment

    def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    return (
        select(
            Lease.webhook_id,
            count(and_(is_live, is_test)).label("tests"),
            count(and_(is_live, ~is_test)).label("others"),
            count(~is_live).label("ended"),
        )
        .group_by(Lease.webhook_id)
        .subquery("leased")
    )


def _due_flags(
    moment: ColumnElement[datetime], has_room: ColumnElement[bool]
) -> list[ColumnElement[Any]]:
    """Return the columns of `Flags` from `id` to `due_3`."""
    is_on = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None), has_room)
    not_paused = or_(Webhook.backoff_until.is_(None), Webhook.backoff_until <= moment)
    # In ordered mode only the head probes, at its own due time, so the webhook's pause does not
    # apply.
    usual = and_(is_on, Webhook.in_order.is_(False), not_paused)
    head = and_(is_on, Webhook.in_order.is_(True), _head_is_due(moment))
    due = [
        and_(Webhook.deleted_at.is_(None), _is_due(Priority.TEST, moment)),
        and_(is_on, _is_due(Priority.INTERACTIVE, moment)),
        or_(head, and_(usual, _is_due(Priority.NORMAL, moment))),
        and_(is_on, not_paused, _is_due(Priority.BULK, moment)),
    ]
    labeled = [flag.label(f"due_{number}") for number, flag in enumerate(due)]
    columns = (Webhook.throttled.expression, Webhook.next_at.expression)
    return [Webhook.id.expression, _is_single().label("is_single"), *columns, *labeled]


def head_of(webhook_id: ColumnElement[int] | int) -> ScalarSelect[int]:
    """Select the oldest open delivery of a webhook, without tests and without retries of ended
    ones.

    A delivery that a person retries before its end keeps its turn, so the next one cannot overtake
    it.
    """
    head = aliased(Delivery)
    was_open = or_(head.prior_status.is_(None), is_open(head.prior_status))
    # For min(id), SQLite would read every open row of the webhook.
    return (
        select(head.id)
        .where(
            head.webhook_id == webhook_id,
            is_open(head.status),
            head.priority != Priority.TEST,
            was_open,
        )
        .order_by(head.id)
        .limit(1)
        .scalar_subquery()
    )


def _head_is_due(moment: ColumnElement[datetime]) -> Exists:
    head = head_of(Webhook.id.expression).correlate(Webhook)
    is_due = Delivery.due_at <= moment
    return exists().where(Delivery.id == head, is_due, has_no_live_lease(moment))


def with_open_rows(dialect: str) -> TextualSelect:
    """Select the ids of the webhooks with an open delivery, by a skip scan of its index."""
    # Without this, SQLite's planner looks at every open row for each step.
    by = "INDEXED BY ix_deliveries_order" if dialect == "sqlite" else ""
    return skip_scan("deliveries", "webhook_id", IS_OPEN, by=by)


def _is_due(priority: Priority, moment: ColumnElement[datetime]) -> ColumnElement[bool]:
    # For EXISTS, PostgreSQL may read all due rows, once for all webhooks. With ORDER BY, both
    # databases walk the index and stop at the first row.
    number: ColumnElement[Any] = literal_column(str(int(priority)))
    first = _oldest_due(literal_column("1"), Webhook.id.expression, number, moment)
    return first.correlate(Webhook).scalar_subquery().is_not(None)


def due_since(connection: Connection, due: Claimable) -> datetime | None:
    """Return since when the oldest claimable delivery could go, or None if none is left."""
    priorities = due.priorities + ((Priority.TEST,) if due.test_places else ())
    statement = _due_since(connection.dialect.name)
    parameters = {"id": due.webhook_id, "now": frozen_at()}
    times = [connection.scalar(statement, parameters | {"priority": each}) for each in priorities]
    return min((max(each, due.next_at or each) for each in times if each), default=None)


@cache
def _due_since(dialect: str) -> Select[Any]:
    id_, priority = bindparam("id", type_=Integer()), bindparam("priority", type_=Integer())
    return _oldest_due(Delivery.due_at, id_, priority, clock(dialect))


def _oldest_due(
    column: ColumnElement[Any] | InstrumentedAttribute[datetime],
    webhook_id: ColumnElement[int],
    priority: ColumnElement[Any],
    moment: ColumnElement[datetime],
) -> Select[Any]:
    return (
        select(column)
        .where(
            Delivery.webhook_id == webhook_id,
            is_open(),
            Delivery.priority == priority,
            Delivery.due_at <= moment,
            has_no_live_lease(moment),
        )
        .order_by(Delivery.due_at)
        .limit(1)
    )


def paused_until(
    priority: int, backoff_until: datetime | None, now: datetime, *, in_order: bool
) -> datetime | None:
    """Return the end of the backoff that delays a delivery, or None if there is none.

    Tests and a person's Retry never wait. In ordered mode the head probes at its own time. `now`:
    the database's clock.
    """
    if backoff_until is None or backoff_until <= now:
        return None
    waits = priority == Priority.BULK or (priority == Priority.NORMAL and not in_order)
    return backoff_until if waits else None


def paced_until(
    delivery: AnyRow | Delivery, webhook: AnyRow | Webhook, now: datetime
) -> datetime | None:
    """Return until when a chat's pace delays an open delivery after its due time, or None if it
    does not. A test never waits. `now`: the database's clock."""
    next_at = webhook.next_at if webhook.format in CHATS else None
    is_kept = delivery.due_at <= now and delivery.priority != Priority.TEST
    return max(next_at, now) if is_kept and next_at and next_at > now - LONGEST_PACE else None


def kept_by(
    due_at: datetime, pause: datetime | None, *, is_behind: bool, is_paced: bool
) -> WaitsFor | None:
    """Return the reason why an open delivery without a lease waits, due or not. `pause`: from
    `paused_until`. `is_paced`: from `paced_until`."""
    if is_behind:
        return WaitsFor.ORDER
    if pause is not None and pause > due_at:
        return WaitsFor.RECEIVER
    return WaitsFor.PACE if is_paced else None


def probe_of(current: Session, webhook_id: int, until: datetime) -> int | None:
    """Return the row id of the delivery that goes first after the backoff, as things stand.

    Only this one is sure to go then. The others follow once it has arrived. None in ordered mode,
    where paused deliveries are behind the head.
    """
    probe = (
        select(Delivery.id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.webhook_id == webhook_id,
            is_open(),
            Delivery.priority > Priority.INTERACTIVE,  # a person's Retry does not wait
            Delivery.due_at <= until,
            Webhook.in_order.is_(False),
        )
        .order_by(Delivery.priority, Delivery.due_at, Delivery.id)
        .limit(1)
    )
    return current.scalar(probe)


def heads(current: Session, webhook_ids: Iterable[int]) -> dict[int, int | None]:
    """Return the oldest open delivery of each of these webhooks, by row id."""
    ids = sorted(set(webhook_ids))
    columns: Sequence[ScalarSelect[int]] = [head_of(webhook_id) for webhook_id in ids]
    oldest = current.execute(select(*columns)).one() if ids else ()
    return dict(zip(ids, oldest, strict=True))


def count_behind(current: Session, webhook_id: int) -> int:
    """Count the deliveries that wait for an older one at this ordered webhook (`capped`)."""
    head = heads(current, [webhook_id])[webhook_id]
    if head is None:
        return 0
    behind = select(Delivery.id).where(
        Delivery.webhook_id == webhook_id,
        is_open(),
        Delivery.id > head,
        Delivery.priority != Priority.TEST,
        Delivery.prior_status.is_(None),
    )
    return capped(current, behind)


def count_before(current: Session, delivery: Delivery, now: datetime, *, in_order: bool) -> int:
    """Count the deliveries claimed before this due one if one is sent at a time (`capped`).
    `in_order`: this one is the oldest of its webhook."""
    is_sooner = or_(
        Delivery.due_at < delivery.due_at,
        and_(Delivery.due_at == delivery.due_at, Delivery.id < delivery.id),
    )
    is_head = in_order and delivery.priority == Priority.NORMAL
    is_alike = and_(Delivery.priority == delivery.priority, is_sooner)
    before = select(Delivery.id).where(
        Delivery.webhook_id == delivery.webhook_id,
        is_open(),
        Delivery.priority != Priority.TEST,
        or_(Delivery.priority < delivery.priority, false() if is_head else is_alike),
        Delivery.due_at <= now,
        has_no_live_lease(now),
    )
    return capped(current, before)


THE_ROW: Final = 1
REFUSED: Final = "All sending is paused. An administrator can resume it under Settings → System."


@dataclass(frozen=True, slots=True)
class SendingStop:
    """The time since which nothing is sent to any webhook, and the name of the person who stopped
    it."""

    since: datetime
    by: str


class SendingStopped(Refusal):
    """Refusal of a request to send while all sending is stopped."""

    def __init__(self, *, field: str | None = None) -> None:
        super().__init__(REFUSED, field=field)


def is_on() -> ColumnElement[bool]:
    """Return the condition that sending is on. A statement evaluates it once, however many rows it
    reads."""
    return ~exists().where(SendingSwitch.id == literal_column(str(THE_ROW)))


def find_stop() -> SendingStop | None:
    """Return the current stop, if any. Reads only."""
    columns = select(SendingSwitch.stopped_at, SendingSwitch.stopped_by)
    row = session().execute(columns.where(SendingSwitch.id == THE_ROW)).one_or_none()
    return SendingStop(*row) if row else None


def refuse_while_stopped(*, field: str | None = None) -> None:
    """Raise `SendingStopped` while sending is stopped. Call this in the transaction that requests
    sending."""
    if find_stop() is not None:
        raise SendingStopped(field=field)
