"""Read one keyset page of rows in the order of their names, whatever the case of the letters."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Select, String, func, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from portal.lib.paging import PAGE_SIZE, Cursor, Page, page_of
from portal.services.unit import session

T = TypeVar("T")


def by_name(
    wanted: Select[Any],
    names: InstrumentedAttribute[str],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    line: Callable[..., T],
) -> Page[T]:
    """The page at `cursor`; `line` makes a line out of the columns that `wanted` selects."""
    key, place = func.lower(names), Cursor.decode(cursor, (str, int))
    backwards = place is not None and place.newer
    if place is not None:
        here, there = tuple_(key, ids), tuple_(*place.key, types=[String, BigInteger])
        wanted = wanted.where(here < there if backwards else here > there)
    order = (key.desc(), ids.desc()) if backwards else (key, ids)
    found = session().execute(wanted.add_columns(key, ids).order_by(*order).limit(PAGE_SIZE + 1))
    page = page_of(found.all(), place, lambda row: (row[-2], row[-1]))
    return Page([line(*row[:-2]) for row in page.rows], page.newer, page.older)
