"""Read one keyset page, the newest first, of rows that an integer id puts in order."""

from typing import Any, TypeVar

from sqlalchemy import BigInteger, Select, literal
from sqlalchemy.orm import InstrumentedAttribute

from portal.lib.paging import PAGE_SIZE, Cursor, Page, page_of
from portal.services.unit import session

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
