"""Ask what is claimable now, in one way for the dispatcher, its maintenance and whoever says "more
is due"."""

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
    """What keeps an open delivery beyond its own time: its receiver is backed off from, or an older
    delivery goes first; once it is due, that its chat takes one at a time, that this machine cannot
    connect, or that its webhook is sent as many as it gets at once."""

    RECEIVER = "receiver"
    ORDER = "order"
    PACE = "pace"
    CONNECTION = "connection"
    PLACES = "places"


TEST_PLACES: Final = 1
# Longer than any. A chat whose next one has been due for so long is not kept by its pace: nobody
# sends to it. Where it is due so much later, the clock was set back.
LONGEST_PACE: Final = timedelta(seconds=5)


class Claimable(NamedTuple):
    """The deliveries that a webhook may have claimed now: how many, and of which priorities.

    `leased`: how many are being sent to it, tests apart; `ended`: how many leases ran out;
    `throttled`: its receiver is in trouble. `next_at`: since when its chat takes one.
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
    """The result of one poll. `now`: the database's clock at that moment, None with nothing
    open. `next_at`: when the first of the chats with an open delivery takes its next one, if
    that is ahead."""

    now: datetime | None
    claimable: list[Claimable]
    next_at: datetime | None


class Flags(NamedTuple):
    """A webhook, of which priorities it has something due that it has room for, and its leases.

    `is_single`: it is sent one at a time, in order or at a chat's pace.
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
    """Return whether a claim made now would get anything. Reads only."""
    return bool(find_due(session().connection()).claimable)


def find_due(connection: Connection, *, may_be_lost: bool = False) -> DueWebhooks:
    """The webhooks with something due and a free place, and what they may take.

    Exact where nobody else can claim meanwhile. `may_be_lost`: what this transaction writes need
    not survive a crash of the database (`_due_webhooks`).
    """
    statement = _due_webhooks(connection.dialect.name, may_be_lost=may_be_lost)
    most = settings().webhook_max_in_flight
    given = {"now": frozen_at(), "most": most}
    flags = [Flags._make(row) for row in connection.execute(statement, given).all()]
    webhooks = [_free_places(each, most) for each in flags]
    now = flags[0].now if flags else None
    ahead = [each.next_at for each in flags if each.next_at and each.next_at > each.now]
    claimable = [each for each in webhooks if each.test_places or each.places]
    return DueWebhooks(now, claimable, min(ahead, default=None))


def _free_places(row: Flags, most: int) -> Claimable:
    """Return what is left of a webhook's places, given its live leases."""
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
    """Return how many a webhook is sent at once, tests apart. `most`: `webhook_max_in_flight`."""
    return 1 if throttled or in_order or format_ is not None else most


# Statements are built once: building one costs more than running it.
@cache
def _due_webhooks(dialect: str, *, may_be_lost: bool) -> Select[*tuple[Any, ...]]:
    """The `Flags` of every webhook with an open row; of none while all sending is stopped.

    Walks from one webhook to the next through the index of open rows: the cost grows with the
    webhooks that have any, never with their backlog.
    """
    moment = clock(dialect)
    walk, leased = with_open_rows(dialect).cte(), _leases(moment)
    counts = (leased.c.tests, leased.c.others, leased.c.ended)
    cap = case(
        # A chat takes no other yet.
        (and_(Webhook.next_at.is_not(None), Webhook.next_at > moment), 0),
        (or_(Webhook.throttled, _is_single()), 1),
        else_=bindparam("most", type_=Integer()),
    )
    # Of one that is full, whatever is due is behind all that is being sent: it is not looked for.
    has_room = func.coalesce(leased.c.others, literal_column("0")) < cap
    flags = select(moment.label("now"), *_due_flags(moment, has_room), *counts).where(is_on())
    if may_be_lost and dialect == "postgresql":
        # Asked for here, for a statement of its own would take as long as what it saves.
        flags = flags.where(func.set_config("synchronous_commit", "off", true()).is_not(None))
    joined = flags.join(walk, walk.c.id == Webhook.id)
    return joined.outerjoin(leased, leased.c.webhook_id == Webhook.id)


def _is_single() -> ColumnElement[bool]:
    # Every format is a chat's. SQLite makes a table of each list that it is asked to look in.
    return or_(Webhook.in_order, Webhook.format.is_not(None))


def _leases(moment: ColumnElement[datetime]) -> Subquery:
    """By webhook: how many tests and others are being sent, and how many leases ran out."""
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
    """The columns of `Flags` from `id` to `due_3`."""
    is_on = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None), has_room)
    not_paused = or_(Webhook.backoff_until.is_(None), Webhook.backoff_until <= moment)
    # In order, only the head probes, and at its own due time: the webhook's pause is not asked.
    usual = and_(is_on, Webhook.in_order.is_(False), not_paused)
    head = and_(is_on, Webhook.in_order.is_(True), _head_is_due(moment))
    due = [
        and_(Webhook.deleted_at.is_(None), _is_due(Priority.TEST, moment)),
        and_(is_on, _is_due(Priority.INTERACTIVE, moment)),
        or_(head, and_(usual, _is_due(Priority.NORMAL, moment))),
        and_(is_on, not_paused, _is_due(Priority.BULK, moment)),
    ]
    labelled = [each.label(f"due_{number}") for number, each in enumerate(due)]
    columns = (Webhook.throttled.expression, Webhook.next_at.expression)
    return [Webhook.id.expression, _is_single().label("is_single"), *columns, *labelled]


def head_of(webhook_id: ColumnElement[int] | int) -> ScalarSelect[int]:
    """The oldest open delivery of a webhook, tests apart, and retries of what had ended.

    One that a person retries while its turn lasts keeps its turn: the next may not overtake it.
    """
    head = aliased(Delivery)
    was_open = or_(head.prior_status.is_(None), is_open(head.prior_status))
    # Not min(id): for that, SQLite reads every open row of the webhook.
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
    """The ids of the webhooks that have an open delivery, by a skip scan of its index."""
    # SQLite's planner would rather look at every open row for each step of it.
    by = "INDEXED BY ix_deliveries_order" if dialect == "sqlite" else ""
    return skip_scan("deliveries", "webhook_id", IS_OPEN, by=by)


def _is_due(priority: Priority, moment: ColumnElement[datetime]) -> ColumnElement[bool]:
    # Not EXISTS: for that, PostgreSQL may read all that is due, once for all webhooks. The order
    # has both databases walk the index and stop at the first.
    number: ColumnElement[Any] = literal_column(str(int(priority)))
    first = _oldest_due(literal_column("1"), Webhook.id.expression, number, moment)
    return first.correlate(Webhook).scalar_subquery().is_not(None)


def due_since(connection: Connection, due: Claimable) -> datetime | None:
    """Return since when the oldest delivery that may be claimed could go; None where none is
    left."""
    priorities = due.priorities + ((Priority.TEST,) if due.test_places else ())
    statement = _due_since(connection.dialect.name)
    given = {"id": due.webhook_id, "now": frozen_at()}
    found = [connection.scalar(statement, given | {"priority": each}) for each in priorities]
    return min((max(each, due.next_at or each) for each in found if each), default=None)


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
    """Until when it waits because its receiver is left alone; None: it does not.

    A test and a person's Retry wait for nobody. In order, the head probes at its own time.
    `now`: the database's clock.
    """
    if backoff_until is None or backoff_until <= now:
        return None
    waits = priority == Priority.BULK or (priority == Priority.NORMAL and not in_order)
    return backoff_until if waits else None


def paced_until(
    delivery: AnyRow | Delivery, webhook: AnyRow | Webhook, now: datetime
) -> datetime | None:
    """Until when an open delivery waits because a chat takes one at a time, from its own time on;
    None: it does not. A test does not wait. `now`: the database's clock."""
    next_at = webhook.next_at if webhook.format in CHATS else None
    is_kept = delivery.due_at <= now and delivery.priority != Priority.TEST
    return max(next_at, now) if is_kept and next_at and next_at > now - LONGEST_PACE else None


def kept_by(
    due_at: datetime, pause: datetime | None, *, is_behind: bool, is_paced: bool
) -> WaitsFor | None:
    """Return what keeps an open delivery that nobody is sending, due or not. `pause`: as
    `paused_until` says; `is_paced`: `paced_until`."""
    if is_behind:
        return WaitsFor.ORDER
    if pause is not None and pause > due_at:
        return WaitsFor.RECEIVER
    return WaitsFor.PACE if is_paced else None


def probe_of(current: Session, webhook_id: int, until: datetime) -> int | None:
    """Return which one goes first once its receiver is no longer left alone, as things stand (row
    id); None where they go in order: what is paused there stands behind the head.

    Only that one is sure to go then, and the others once it has arrived.
    """
    probe = (
        select(Delivery.id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.webhook_id == webhook_id,
            is_open(),
            Delivery.priority > Priority.INTERACTIVE,  # no person's Retry waits for it
            Delivery.due_at <= until,
            Webhook.in_order.is_(False),
        )
        .order_by(Delivery.priority, Delivery.due_at, Delivery.id)
        .limit(1)
    )
    return current.scalar(probe)


def heads(current: Session, webhook_ids: Iterable[int]) -> dict[int, int | None]:
    """The oldest open delivery of each of these webhooks, by their row ids."""
    ids = sorted(set(webhook_ids))
    columns: Sequence[ScalarSelect[int]] = [head_of(each) for each in ids]
    found = current.execute(select(*columns)).one() if ids else ()
    return dict(zip(ids, found, strict=True))


def count_behind(current: Session, webhook_id: int) -> int:
    """Return how many wait for an older one at this webhook, which wants them in order
    (`capped`)."""
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
    """Return how many are claimed before this one, which is due, where one is sent at a time
    (`capped`). `in_order`: this one is the oldest there."""
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
    """Since when nothing is sent to any webhook, and the name of who stopped it."""

    since: datetime
    by: str


class SendingStopped(Refusal):
    """Nobody may ask for something to be sent meanwhile."""

    def __init__(self, *, field: str | None = None) -> None:
        super().__init__(REFUSED, field=field)


def is_on() -> ColumnElement[bool]:
    """Return whether anything is sent, as a condition that a statement asks once, whatever it
    reads."""
    return ~exists().where(SendingSwitch.id == literal_column(str(THE_ROW)))


def find_stop() -> SendingStop | None:
    """The stop that is in force. Reads only."""
    columns = select(SendingSwitch.stopped_at, SendingSwitch.stopped_by)
    row = session().execute(columns.where(SendingSwitch.id == THE_ROW)).one_or_none()
    return SendingStop(*row) if row else None


def refuse_while_stopped(*, field: str | None = None) -> None:
    """In the transaction that asks for something to be sent: raise `SendingStopped`."""
    if find_stop() is not None:
        raise SendingStopped(field=field)
