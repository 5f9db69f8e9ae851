"""Read one keyset page by a name that not every row has: those without one come last, either way.

The name is the row's own, or that of the group it belongs to: its category, its location, whoever
has it. Of many rows the groups are walked in their order, and of each no more is read than a page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Select, String, func, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from portal.lib.paging import Cursor, Page
from portal.services.core.keyset import FIRST_ID, LAST_ID, one_more, page_at
from portal.services.core.unit_of_work import session

T = TypeVar("T")
NAMED: Final = 0
NAMELESS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """By what rows are sorted. `names`, `groups`: the column of the name and of its group's id,
    which is the row's own where each row has a name of its own.

    `members` finds the ids of the rows of a group, which is `groups` itself or one id; `nameless`
    those of the rest. `is_walked`: each group is a part of an index, and may be large.
    """

    names: InstrumentedAttribute[Any]
    groups: InstrumentedAttribute[int]
    members: Callable[[ColumnElement[int]], Select[int]]
    nameless: Select[int]
    is_walked: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Beside which row the page begins."""

    rank: int
    name: str
    group: int
    id: int


def by_naming(
    wanted: Select[T],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    naming: Naming,
    *,
    reverse: bool = False,
) -> Page[T]:
    """The page at `cursor` of the entities that `wanted` selects: by the name whatever its
    capitals, then by the group, then by the id. `reverse`: the other way round, but for those
    without a name, which stay at the end."""

    def read(place: Cursor | None) -> Sequence[tuple[tuple[Any, ...], T]]:
        found: list[Any] = []
        for part in _parts(naming, place, reverse):
            left = one_more() - len(found)
            found += session().execute(part.limit(left)).all() if left else []
        rows = session().scalars(wanted.where(ids.in_([row[-1] for row in found])))
        by_id = {getattr(row, ids.key): row for row in rows}
        return [(tuple(row), by_id[row[-1]]) for row in found]

    place = Cursor.decode(cursor, (int, str, int, int))
    page = page_at(read, place, lambda line: line[0])
    return Page([row for _, row in page.rows], page.newer, page.older)


def _parts(naming: Naming, cursor: Cursor | None, reverse: bool) -> Iterator[Select[Any]]:
    """What is read in turn until the page is full, each in its order."""
    is_on = cursor is None or not cursor.newer
    is_up = is_on is not reverse
    place = None if cursor is None else _Place(*cursor.key)  # type: ignore[arg-type]  # as decoded
    if place is None or place.rank == NAMED:
        yield from _named(naming, place, is_up)
        if is_on:
            yield _nameless(naming, None, is_up)
        return
    yield _nameless(naming, place, is_up)
    if not is_on:
        yield from _named(naming, None, is_up)


def _nameless(naming: Naming, place: _Place | None, is_up: bool) -> Select[Any]:
    (ids,) = naming.nameless.selected_columns
    lines = naming.nameless.with_only_columns(*_key(NAMELESS, literal(""), literal(0), ids))
    return _beside(lines, [ids], [place.id] if place else None, is_up)


def _named(naming: Naming, place: _Place | None, is_up: bool) -> Iterator[Select[Any]]:
    name, group = func.lower(naming.names), naming.groups.expression
    members = naming.members(group)
    (ids,) = members.selected_columns
    if not naming.is_walked:
        lines = members.add_columns(name).with_only_columns(*_key(NAMED, name, group, ids))
        key = [place.name, place.group, place.id] if place else None
        yield _beside(lines, [name, group, ids], key, is_up)
        return
    if place:
        own = naming.members(literal(place.group, BigInteger))
        lines = own.with_only_columns(*_key(NAMED, literal(place.name), literal(place.group), ids))
        yield _beside(lines, [ids], [place.id], is_up)
    # In words that no index has: the groups are gone through, and never looked up for all members.
    members = naming.members(func.coalesce(group, group))
    lines = members.where(_among_first(members, naming, is_up))
    lines = lines.with_only_columns(*_key(NAMED, name, group, ids))
    key = [place.name, place.group] if place else None
    yield _beside(lines, [name, group], key, is_up).order_by(ids.asc() if is_up else ids.desc())


def _among_first(members: Select[int], naming: Naming, is_up: bool) -> ColumnElement[bool]:
    """Of each group no more than a page: up to the id of the row after it."""
    (ids,) = members.selected_columns
    table = naming.groups.class_
    after = members.order_by(ids.asc() if is_up else ids.desc()).offset(one_more() - 1).limit(1)
    last = func.coalesce(
        after.correlate(table).scalar_subquery(),
        literal(LAST_ID if is_up else FIRST_ID, BigInteger),
    )
    return ids <= last if is_up else ids >= last


def _key(rank: int, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return [literal(rank).label("rank"), *columns]


def _beside(
    lines: Select[Any], key: list[Any], place: list[Any] | None, is_up: bool
) -> Select[Any]:
    """In the order of the key, from beside the place on."""
    if place is not None:
        types = [String if isinstance(each, str) else BigInteger for each in place]
        here, there = tuple_(*key), tuple_(*place, types=types)
        # The bound by itself as well: by it SQLite enters the index at the place.
        first: ColumnElement[Any] = literal(place[0], types[0])
        lines = lines.where(key[0] >= first if is_up else key[0] <= first)
        lines = lines.where(here > there if is_up else here < there)
    return lines.order_by(*(each.asc() if is_up else each.desc() for each in key))
