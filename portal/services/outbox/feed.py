"""Read events in the order of their commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.extensions import settings
from portal.lib.paging import Cursor, UnreadableCursor
from portal.models.deliveries import Event, FeedEntry
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, session

NOW: Final = "now"  # in place of a cursor
START: Final = Cursor((0, "", ""))
# Clean-up uses the database's clock, and an event's time is the machine's.
SPARE: Final = timedelta(hours=1)


class StartAgain(Refusal):
    """Refusal of a cursor that no longer matches the events that were read."""

    status = 410

    def __init__(self) -> None:
        super().__init__(
            "The database was restored from a backup, or this cursor is too old. Start again "
            "without it."
        )


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event, with the body that receivers get."""

    id: UUID
    body: bytes


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events, oldest first, and the cursor after them."""

    events: Sequence[FeedEvent]
    next: str


def read(cursor: str | None, size: int) -> FeedPage:
    """Return the events after the cursor. For `NOW`, return none and the cursor for later events.
    Raise `StartAgain` or `UnreadableCursor`."""
    current = session()
    if cursor == NOW:
        return FeedPage([], _last(current).encode())
    place = Cursor.decode(cursor, (int, str, str)) or START
    _refuse_other_past(current, place)
    query = (
        select(FeedEntry.position, Event.public_id, Event.occurred_at, Event.body)
        .join(Event, Event.id == FeedEntry.event_id)
        .where(FeedEntry.position > place.key[0])
        .order_by(FeedEntry.position)
        .limit(size)
    )
    rows = current.execute(query).all()
    if rows:
        place = _place(rows[-1])
    return FeedPage([FeedEvent(row.public_id, row.body) for row in rows], place.encode())


def _last(current: Session) -> Cursor:
    newest = (
        select(FeedEntry.position, Event.public_id, Event.occurred_at)
        .join(Event, Event.id == FeedEntry.event_id)
        .order_by(FeedEntry.position.desc())
        .limit(1)
    )
    row = current.execute(newest).one_or_none()
    return _place(row) if row else START


def _place(row: AnyRow) -> Cursor:
    return Cursor((row.position, str(row.public_id), row.occurred_at.isoformat()))


def _refuse_other_past(current: Session, place: Cursor) -> None:
    """Refuse a cursor whose event is no longer at its position, unless clean-up explains that.

    A restored copy of the database gives its positions to other events.
    """
    position, public_id, occurred = place.key
    if place.key == START.key:
        return
    query = (
        select(Event.public_id)
        .join(FeedEntry, FeedEntry.event_id == Event.id)
        .where(FeedEntry.position == position)
    )
    stored = current.scalar(query)
    if str(stored) == public_id:
        return
    last = current.execute(select(func.max(FeedEntry.position))).scalar_one() or 0
    if stored is not None or int(position) > last or not _is_removed(current, str(occurred)):
        raise StartAgain


def _is_removed(current: Session, occurred: str) -> bool:
    try:
        at = datetime.fromisoformat(occurred)
        age = database_time(current) - at
    except (ValueError, TypeError, OverflowError):
        raise UnreadableCursor from None
    return age > timedelta(days=settings().retention_days) - SPARE
