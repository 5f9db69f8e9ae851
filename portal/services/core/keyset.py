"""Read one keyset page: the newest first by id, the soonest first by a time, or by name."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, Select, String, and_, func, literal, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from portal.lib.paging import PAGE_SIZE, Cursor, Page, UnreadableCursor, page_of
from portal.services.core.unit_of_work import session

FIRST_ID: Final = 0
LAST_ID: Final = 2**63 - 1

T = TypeVar("T")


def newest_first(wanted: Select[T], ids: InstrumentedAttribute[int], cursor: str | None) -> Page[T]:
    """The page at `cursor` of the entities that `wanted` selects; `ids` is their id column."""
    place = Cursor.decode(cursor)
    order: Any = ids.desc()
    if place is not None:
        # As wide as a cursor can be: a number typed into the address must not overflow the column.
        beside = literal(place.key[0], BigInteger)
        wanted = wanted.where(ids > beside if place.newer else ids < beside)
        order = ids.asc() if place.newer else order
    rows = session().scalars(wanted.order_by(order).limit(PAGE_SIZE + 1)).all()
    return page_of(rows, place, lambda row: (getattr(row, ids.key),))


def soonest_first(
    wanted: Select[T],
    days: InstrumentedAttribute[date] | InstrumentedAttribute[datetime],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
) -> Page[T]:
    """The page at `cursor` in the order of a date or time, then of the id."""
    place = Cursor.decode(cursor, (str, int))
    if place is not None:
        beside = _read(days.type.python_type, str(place.key[0]))
        column: Any = days
        id_ = literal(place.key[1], BigInteger)
        ahead = or_(column > beside, and_(column == beside, ids > id_))
        behind = or_(column < beside, and_(column == beside, ids < id_))
        wanted = wanted.where(behind if place.newer else ahead)
    backwards = place is not None and place.newer
    order = (days.desc(), ids.desc()) if backwards else (days.asc(), ids.asc())
    rows = session().scalars(wanted.order_by(*order).limit(PAGE_SIZE + 1)).all()
    return page_of(
        rows, place, lambda row: (getattr(row, days.key).isoformat(), getattr(row, ids.key))
    )


def _read(kind: type[Any], text: str) -> date | datetime:
    """A key of ours; a time needs its zone to be compared. Raises `UnreadableCursor`."""
    try:
        value: date | datetime = kind.fromisoformat(text)
        if not isinstance(value, datetime):
            return value
        if value.tzinfo:
            return value.astimezone(UTC)
    except (ValueError, OverflowError):  # no time at all, or one before the first in UTC
        pass
    raise UnreadableCursor


def by_name(
    wanted: Select[Any],
    names: InstrumentedAttribute[str],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    line: Callable[..., T],
) -> Page[T]:
    """The page at `cursor`, by name whatever its capitals, then by id.

    `line` makes a line out of the columns that `wanted` selects.
    """
    key, place = func.lower(names), Cursor.decode(cursor, (str, int))
    backwards = place is not None and place.newer
    if place is not None:
        here, there = tuple_(key, ids), tuple_(*place.key, types=[String, BigInteger])
        wanted = wanted.where(here < there if backwards else here > there)
    order = (key.desc(), ids.desc()) if backwards else (key, ids)
    found = session().execute(wanted.add_columns(key, ids).order_by(*order).limit(PAGE_SIZE + 1))
    page = page_of(found.all(), place, lambda row: (row[-2], row[-1]))
    return Page([line(*row[:-2]) for row in page.rows], page.newer, page.older)
