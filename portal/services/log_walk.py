"""How a page of the log is read, as quick on the ten millionth row as on the first.

A page walks one index from the cursor. The bounds compare the index's columns as one tuple, so that
no planner is tempted to walk the whole table by id and hope for hits. What the index does not know
is filtered from at most `MOST_READ` rows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from portal.lib.paging import Cursor
from portal.models.deliveries import (
    Delivery,
    DeliveryStatus,
    Event,
    Priority,
    has_no_live_lease,
)
from portal.models.webhooks import Webhook, WebhookState
from portal.services.log_filter import LogFilter, StatusFilter

MOST_READ: Final = 20_000
FIRST_ID: Final = 0
LAST_ID: Final = 2**63 - 1
# Ids are given out before the commit: rows may be this much out of order in time.
SLACK: Final = timedelta(minutes=1)

Column = InstrumentedAttribute[Any]
Equal = dict[Column, Any]
# The first whose columns are all asked for is walked; each ends in the id.
INDEXES: Final[tuple[tuple[Column, ...], ...]] = (
    (Delivery.asset_id,),
    (Delivery.webhook_id, Delivery.status),
    (Delivery.webhook_id,),
    (Delivery.event,),
    (Delivery.status,),
    (),
)


@dataclass(frozen=True, slots=True)
class Walk:
    """Along the index whose columns are `along`, from id `low` to `high`.

    `seldom` drops few rows on the way, `rest` may drop nearly all of them.
    """

    along: Equal
    rest: Equal
    seldom: tuple[ColumnElement[bool], ...]
    low: int
    high: int


def walk_for(
    current: Session, wanted: LogFilter, place: Cursor | None, now: datetime
) -> Walk | None:
    """Choose the index and the ids. None: nothing can match. `now`: the database's clock."""
    bounds = _bounds(current, wanted, place)
    webhook_id = _webhook_id(current, wanted)
    if bounds is None or (wanted.webhook and webhook_id is None):
        return None
    status, seldom = _status(wanted.status, now)
    asked = {
        Delivery.asset_id: wanted.asset_id,
        Delivery.webhook_id: webhook_id,
        Delivery.event: wanted.event,
        Delivery.status: status,
    }
    equal = {column: value for column, value in asked.items() if value is not None}
    seldom += _times(wanted)
    if wanted.delivery or wanted.status is StatusFilter.SENDING:
        # A handful of rows, found without the log's indexes.
        named = [Delivery.public_id == wanted.delivery] if wanted.delivery else []
        seldom += [*named, *(column == value for column, value in equal.items())]
        return Walk({}, {}, tuple(seldom), *bounds)
    index = next(each for each in INDEXES if all(column in equal for column in each))
    along = {column: equal.pop(column) for column in index}
    return Walk(along, equal, tuple(seldom), *bounds)


def page_statement(walk: Walk, *, newer: bool, limit: int) -> Select[*tuple[Any, ...]]:
    """One query: the rows of the page, then the names of their webhooks and assets. In no order."""
    row = aliased(Delivery, _page_of(walk, newer=newer, limit=limit).subquery("page"))
    is_active = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None))
    return (
        select(
            row.id,
            row.public_id,
            row.created_at,
            row.event,
            row.asset_id,
            row.status,
            row.priority,
            row.reason,
            row.code,
            row.tries,
            row.attempts,
            row.due_at,
            row.lease_until,
            row.took_ms,
            Event.asset_tag,
            Event.asset_name,
            Webhook.public_id.label("webhook_public_id"),
            Webhook.name.label("webhook_name"),
            is_active.label("is_webhook_active"),
        )
        .select_from(row)
        # Outer joins: a planner may not turn the walk round and begin at the webhooks.
        .outerjoin(Event, Event.id == row.event_id)
        .outerjoin(Webhook, Webhook.id == row.webhook_id)
    )


def end_of_window(current: Session, walk: Walk) -> int | None:
    """The last id that was read for a page with `rest`; None when the walk came to its end."""
    window = _along(walk, newer=False).limit(MOST_READ).with_only_columns(Delivery.id).subquery()
    last, count = current.execute(select(func.min(window.c.id), func.count(window.c.id))).one()
    return last if count == MOST_READ else None


def _page_of(walk: Walk, *, newer: bool, limit: int) -> Select[Delivery]:
    along = _along(walk, newer=newer)
    if not walk.rest:
        return along.limit(limit)
    row = aliased(Delivery, along.limit(MOST_READ).subquery("walked"))
    matches = [getattr(row, column.key) == value for column, value in walk.rest.items()]
    order = row.id.asc() if newer else row.id.desc()
    return select(row).where(*matches).order_by(order).limit(limit)


def _along(walk: Walk, *, newer: bool) -> Select[Delivery]:
    columns = (*walk.along, Delivery.id)
    values = tuple(walk.along.values())
    order = [column.asc() if newer else column.desc() for column in columns]
    key = tuple_(*columns)
    return (
        select(Delivery)
        .where(key >= (*values, walk.low), key <= (*values, walk.high), *walk.seldom)
        .order_by(*order)
    )


def _webhook_id(current: Session, wanted: LogFilter) -> int | None:
    if wanted.webhook is None:
        return None
    found = select(Webhook.id).where(Webhook.public_id == wanted.webhook)
    return current.execute(found).scalar_one_or_none()


def _status(
    status: StatusFilter | None, now: datetime
) -> tuple[DeliveryStatus | None, list[ColumnElement[bool]]]:
    """The stored status to walk along, and what else makes it the one that people see."""
    match status:
        case None:
            return None, []
        case StatusFilter.ATTENTION:
            return DeliveryStatus.FAILED, [Delivery.priority != Priority.TEST]
        case StatusFilter.SENDING:
            leased = select(Delivery.id).where(
                Delivery.lease_token.is_not(None), Delivery.lease_until > now
            )
            return None, [Delivery.id.in_(leased)]
        case StatusFilter.WAITING | StatusFilter.RETRYING:
            return DeliveryStatus(status), [has_no_live_lease(now)]
        case _:
            return DeliveryStatus(status), []


def _times(wanted: LogFilter) -> list[ColumnElement[bool]]:
    # The ids are bounded by these times already: hidden from the planner, lest it leaves the walk.
    at = func.coalesce(Delivery.created_at, Delivery.created_at)
    since = [at >= wanted.since] if wanted.since else []
    until = [at < wanted.until] if wanted.until else []
    return [*since, *until]


def _bounds(current: Session, wanted: LogFilter, place: Cursor | None) -> tuple[int, int] | None:
    """The ids between which a match can stand: beside the cursor, and of about that time."""
    low, high = FIRST_ID, LAST_ID
    if place is not None:
        beside = int(place.key[0])
        low, high = (beside + 1, high) if place.newer else (low, beside - 1)
    if wanted.since:
        first = _id_near(current, Delivery.created_at >= wanted.since - SLACK, ascending=True)
        if first is None:
            return None
        low = max(low, first)
    if wanted.until:
        last = _id_near(current, Delivery.created_at <= wanted.until + SLACK, ascending=False)
        if last is None:
            return None
        high = min(high, last)
    return low, high


def _id_near(current: Session, side: ColumnElement[bool], *, ascending: bool) -> int | None:
    at = Delivery.created_at
    found = select(Delivery.id).where(side).order_by(at.asc() if ascending else at.desc()).limit(1)
    return current.execute(found).scalar_one_or_none()
