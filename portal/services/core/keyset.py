"""Read one keyset page, newest first by id, by time or name in either order, or by rank."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute

from portal.lib.paging import PAGE_SIZE, Cursor, Key, Page, UnreadableCursor, page_of
from portal.services.core.unit_of_work import session

FIRST_ID: Final = 0
LAST_ID: Final = 2**63 - 1

T = TypeVar("T")
TimeColumn = InstrumentedAttribute[date] | InstrumentedAttribute[datetime]


def newest_first(
    statement: Select[T],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    size: int | None = None,
) -> Page[T]:
    """Return the page at `cursor` of the entities that `statement` selects, in the order of
    `ids`."""

    def read(place: Cursor | None) -> Sequence[T]:
        if place is None:
            return _some(statement.order_by(ids.desc()), size)
        # As wide as a cursor's number, because a number typed into the URL must not overflow the
        # column.
        beside = literal(place.key[0], BigInteger)
        if place.newer:
            return _some(statement.where(ids > beside).order_by(ids.asc()), size)
        return _some(statement.where(ids < beside).order_by(ids.desc()), size)

    return page_at(read, Cursor.decode(cursor), lambda row: (getattr(row, ids.key),), size)


def newest_of(
    statement: Select[T],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    branches: Sequence[Select[int]],
    size: int | None = None,
) -> Page[T]:
    """Return the page at `cursor` of all rows that any branch finds (`side_by_side`)."""

    def read(place: Cursor | None) -> Sequence[T]:
        newer = place is not None and place.newer
        beside = int(place.key[0]) if place is not None else None
        page_ids = side_by_side(branches, one_more(size), beside, ascending=newer)
        order = ids.asc() if newer else ids.desc()
        return _some(statement.where(ids.in_(page_ids)).order_by(order), size)

    return page_at(read, Cursor.decode(cursor), lambda row: (getattr(row, ids.key),), size)


def side_by_side(
    branches: Sequence[Select[int]],
    most: int,
    beside: int | None = None,
    *,
    ascending: bool = False,
) -> Select[int]:
    """Return the ids that any branch finds, the first `most` of each, newest first or `ascending`.

    A branch selects one column of ids and reads in their order without sorting all rows. `beside`:
    only ids after this one.
    """
    parts = []
    for branch in branches:
        (ids,) = branch.selected_columns
        if beside is not None:
            # As wide as a cursor's number, because a number typed into the URL must not overflow.
            place = literal(beside, BigInteger)
            branch = branch.where(ids > place if ascending else ids < place)
        ordered = branch.order_by(ids.asc() if ascending else ids.desc()).limit(most)
        parts.append(select(ordered.subquery()))
    return select(union(*parts).subquery()) if len(parts) > 1 else parts[0]


def in_ranks(
    statement: Select[T],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    ranks: Sequence[Sequence[Select[int]]],
    *,
    reverse: bool = False,
) -> Page[T]:
    """Return the page at `cursor` rank by rank, newest first within each. `reverse` turns all of it
    around. `ranks`: for each rank, the branches that find it (`side_by_side`), if any."""

    def read(place: Cursor | None) -> Sequence[tuple[int, T]]:
        is_up = reverse if place is None else place.newer is not reverse
        parts = []
        for rank, branches in enumerate(ranks):
            here = rank if place is None else int(place.key[0])
            if branches and (rank == here or (rank < here) is is_up):
                beside = int(place.key[1]) if place is not None and rank == here else None
                page_ids = side_by_side(branches, one_more(), beside, ascending=is_up).subquery()
                parts.append(select(literal(rank).label("rank"), *page_ids.c))
        if not parts:
            return []
        ranked = union_all(*parts).subquery()
        rank_of, id_of = ranked.c
        order = (rank_of.desc(), id_of.asc()) if is_up else (rank_of.asc(), id_of.desc())
        lines = session().execute(select(ranked).order_by(*order).limit(one_more())).all()
        rows = session().scalars(statement.where(ids.in_([id_ for _, id_ in lines])))
        by_id = {getattr(row, ids.key): row for row in rows}
        return [(rank, by_id[id_]) for rank, id_ in lines]

    place = Cursor.decode(cursor, (int, int))
    page = page_at(read, place, lambda line: (line[0], getattr(line[1], ids.key)))
    return Page([row for _, row in page.rows], page.newer, page.older)


def by_time(
    statement: Select[T],
    times: TimeColumn,
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    *,
    by: ColumnElement[Any] | None = None,
    newest: bool = False,
) -> Page[T]:
    """Return the page at `cursor` in the order of a date or time, then of the id. `newest`: newest
    first.

    `by`: another expression of the time, which avoids its index.
    """
    column: Any = times if by is None else by
    down, up = [column.desc(), ids.desc()], [column.asc(), ids.asc()]

    def read(place: Cursor | None) -> Sequence[T]:
        if place is None:
            return _some(statement.order_by(*(down if newest else up)))
        beside = _time_of(place, times.type.python_type)
        id_ = literal(place.key[1], BigInteger)
        # The bound is repeated on its own, because SQLite needs that to enter the index at the
        # cursor.
        if place.newer is newest:
            later = or_(column > beside, and_(column == beside, ids > id_))
            return _some(statement.where(column >= beside, later).order_by(*up))
        earlier = or_(column < beside, and_(column == beside, ids < id_))
        return _some(statement.where(column <= beside, earlier).order_by(*down))

    return page_at(
        read,
        Cursor.decode(cursor, (str, int)),
        lambda row: (getattr(row, times.key).isoformat(), getattr(row, ids.key)),
    )


def by_name(
    statement: Select[Any],
    names: InstrumentedAttribute[str] | ColumnElement[str],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    line: Callable[..., T],
    rank: ColumnElement[int] | None = None,
    *,
    reverse: bool = False,
    branches: Sequence[Select[int]] = (),
    size: int | None = None,
) -> Page[T]:
    """Return the page at `cursor` by case-insensitive name, then by id, and by `rank` before
    either.

    `line` makes a line from the columns that `statement` selects. `reverse`: descending.
    `branches`: queries for the ids of parts, if no index has all rows in this order.
    """
    ranks = [] if rank is None else [rank]
    key = [*ranks, func.lower(names), ids]
    statement = statement.add_columns(*key)
    types = [*(BigInteger for _ in ranks), String, BigInteger]
    shape = (*(int for _ in ranks), str, int)

    def read(place: Cursor | None) -> Sequence[Any]:
        is_up = not reverse if place is None else place.newer is reverse
        order = key if is_up else [column.desc() for column in key]
        bounds: list[ColumnElement[bool]] = []
        if place is not None:
            here, there = tuple_(*key), tuple_(*place.key, types=types)
            # The bound is repeated on its own, as above.
            first: ColumnElement[Any] = literal(place.key[0], types[0])
            bounds = [key[0] >= first, here > there] if is_up else [key[0] <= first, here < there]
        if branches:
            parts = [
                branch.where(*bounds).order_by(*order).limit(one_more(size)) for branch in branches
            ]
            bounds = [ids.in_(union_all(*(select(part.subquery()) for part in parts)))]
        lines = statement.where(*bounds).order_by(*order).limit(one_more(size))
        return session().execute(lines).all()

    page = page_at(read, Cursor.decode(cursor, shape), lambda row: tuple(row[-len(key) :]), size)
    return Page([line(*row[: -len(key)]) for row in page.rows], page.newer, page.older)


def page_at(
    read: Callable[[Cursor | None], Sequence[T]],
    place: Cursor | None,
    key: Callable[[T], Key],
    size: int | None = None,
) -> Page[T]:
    """Return the page at `place`, or the first page if no newer rows are left.

    Then the row at `place` is off the list now, or was on its first page all along.
    """
    rows = read(place)
    if place is not None and place.newer and not rows:
        place, rows = None, read(None)
    return page_of(rows, place, key, size or PAGE_SIZE)


def one_more(size: int | None = None) -> int:
    """Return the number of rows to read for a page. The last one shows that another page follows.
    `size`: for pages of another size than the portal's own."""
    return (size or PAGE_SIZE) + 1


def _some(statement: Select[T], size: int | None = None) -> Sequence[T]:
    return session().scalars(statement.limit(one_more(size))).all()


def _time_of(place: Cursor, kind: type[Any]) -> date | datetime:
    """Return the time in a cursor's key, with its zone. Raise `UnreadableCursor`."""
    try:
        value: date | datetime = kind.fromisoformat(place.key[0])
        if not isinstance(value, datetime):
            return value
        if value.tzinfo:
            return value.astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or one before the first in UTC
        pass
    raise UnreadableCursor
