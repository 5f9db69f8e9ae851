"""Between which ids a match can stand: beside the cursor, and of about the time asked for."""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.lib.paging import Cursor
from portal.models.deliveries import Delivery
from portal.services.log_filter import LogFilter

FIRST_ID: Final = 0
LAST_ID: Final = 2**63 - 1
# Ids are given out before the commit: rows may be this much out of order in time.
SLACK: Final = timedelta(minutes=1)


def bounds(current: Session, wanted: LogFilter, place: Cursor | None) -> tuple[int, int] | None:
    """(lowest id, highest id); None: nothing can match."""
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


def times(wanted: LogFilter) -> list[ColumnElement[bool]]:
    """The exact times, which `bounds` knows only nearly."""
    # Hidden from the planner, lest it leaves the walk for the index of times.
    at = func.coalesce(Delivery.created_at, Delivery.created_at)
    since = [at >= wanted.since] if wanted.since else []
    until = [at < wanted.until] if wanted.until else []
    return [*since, *until]


def _id_near(current: Session, side: ColumnElement[bool], *, ascending: bool) -> int | None:
    at = Delivery.created_at
    found = select(Delivery.id).where(side).order_by(at.asc() if ascending else at.desc()).limit(1)
    return current.execute(found).scalar_one_or_none()
