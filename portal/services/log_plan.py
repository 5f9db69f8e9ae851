"""Which index a page of the log walks: chosen from what it is asked for.

Unfiltered, any single filter, and webhook with status are flat: their walk drops few rows. Any
other combination walks the index of its narrowest part and looks for the rest among what it reads.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from portal.lib.paging import Cursor
from portal.models.deliveries import Delivery, DeliveryStatus, Priority, has_no_live_lease
from portal.models.webhooks import Webhook
from portal.services.draft_rows import draft_ids
from portal.services.log_bounds import bounds, times
from portal.services.log_filter import LogFilter, StatusFilter
from portal.services.log_search import assets_meant
from portal.services.log_walk import Column, Walk, matches

# The first whose columns are all asked for is walked; each ends in the id.
INDEXES: Final[tuple[tuple[Column, ...], ...]] = (
    (Delivery.asset_id,),
    (Delivery.webhook_id, Delivery.status),
    (Delivery.webhook_id,),
    (Delivery.reason,),
    (Delivery.code,),
    (Delivery.event,),
    (Delivery.status,),
    (),
)
Asked = dict[Column, Any]


def walk_for(
    current: Session, wanted: LogFilter, place: Cursor | None, now: datetime
) -> Walk | None:
    """Choose the index and the ids. None: nothing can match. `now`: the database's clock."""
    between = bounds(current, wanted, place)
    asked = _asked(current, wanted)
    if between is None or asked is None:
        return None
    ends = (*between, current.get_bind().dialect.name != "sqlite")
    status, seldom = _status(wanted.status, now)
    if status is not None:
        asked[Delivery.status] = status
    seldom += [*times(wanted), *_without_drafts(current)]
    if wanted.delivery or wanted.status is StatusFilter.SENDING:
        # A handful of rows, found without the log's indexes.
        named = [Delivery.public_id == wanted.delivery] if wanted.delivery else []
        seldom += [*named, *(matches(column, value) for column, value in asked.items())]
        return Walk({}, None, {}, tuple(seldom), *ends)
    if len(asked) == 1 and (fan := _fan(asked)):
        return Walk({}, fan, {}, tuple(seldom), *ends)
    equal = {column for column, value in asked.items() if isinstance(value, int | str)}
    index = next(each for each in INDEXES if equal.issuperset(each))
    along = {column: asked.pop(column) for column in index}
    return Walk(along, None, asked, tuple(seldom), *ends)


def _without_drafts(current: Session) -> list[ColumnElement[bool]]:
    """Tests before saving belong to an open form alone. Ids, so that no planner begins there."""
    drafts = draft_ids(current)
    return [Delivery.webhook_id.not_in(drafts)] if drafts else []


def _asked(current: Session, wanted: LogFilter) -> Asked | None:
    """What each column must be: one value, several, or a query. None: nothing can match."""
    asked: Asked = {
        Delivery.asset_id: wanted.asset_id,
        Delivery.event: wanted.event,
        Delivery.code: wanted.code,
        Delivery.reason: _one_or_more(tuple(map(str, wanted.reasons))) or None,
    }
    asked = {column: value for column, value in asked.items() if value is not None}
    if wanted.webhook is not None:
        found = select(Webhook.id).where(Webhook.public_id == wanted.webhook)
        asked[Delivery.webhook_id] = current.execute(found).scalar_one_or_none()
    if wanted.search and wanted.asset_id is None:
        meant = assets_meant(current, wanted.search)
        several = _one_or_more(meant.ids)
        asked[Delivery.asset_id] = meant.query if meant.query is not None else several
    return None if any(value is None or value == () for value in asked.values()) else asked


def _one_or_more(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def _fan(asked: Asked) -> tuple[Column, tuple[Any, ...]] | None:
    ((column, value),) = asked.items()
    return (column, value) if isinstance(value, tuple) else None


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
