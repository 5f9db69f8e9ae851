"""Read a page of the register's list in any order, at a cost independent of the register's size.

A few matches are sorted. For many matches, the order's index is scanned and rows that do not match
are skipped. By name, each status has its own part of an index.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute, joinedload

from portal.lib.paging import Cursor, Page
from portal.models.assets import Asset, AssetStatus, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.services.assets.queries import (
    ASSETS,
    COUNTED_BESIDE,
    STATUSES,
    AssetFilter,
    by_holder,
    conditions,
    holds_words,
    list_assets,
    matching,
)
from portal.services.core.keyset import (
    FIRST_ID,
    LAST_ID,
    by_name,
    by_time,
    in_ranks,
    one_more,
    page_at,
)
from portal.services.core.unit_of_work import session

T = TypeVar("T")
NAMED: Final = 0
NAMELESS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOrder:
    """An order by the names of groups, such as categories.

    `names` and `groups` are the columns of the group's name and id. If each row has its own name,
    `groups` is the row's id. `members(group)` selects the ids of a group's rows, for the column
    `groups` or for one id. `nameless` selects the rows without a group. `is_scanned` means that
    each group is a part of an index and can be large.
    """

    names: InstrumentedAttribute[Any]
    groups: InstrumentedAttribute[int]
    members: Callable[[ColumnElement[int]], Select[int]]
    nameless: Select[int]
    is_scanned: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """The key of the row next to which the page begins."""

    rank: int
    name: str
    group: int
    id: int


def by_group(
    query: Select[T],
    ids: InstrumentedAttribute[int],
    cursor: str | None,
    grouping: GroupOrder,
    *,
    reverse: bool = False,
) -> Page[T]:
    """Return the page at `cursor` of the entities that `query` selects.

    The order is by name, ignoring case, then by group, then by id. `reverse` inverts it, except
    that rows without a name stay at the end.
    """

    def read(place: Cursor | None) -> Sequence[tuple[tuple[Any, ...], T]]:
        keys: list[Any] = []
        for part in _parts(grouping, place, reverse):
            left = one_more() - len(keys)
            keys += session().execute(part.limit(left)).all() if left else []
        rows = session().scalars(query.where(ids.in_([row[-1] for row in keys])))
        by_id = {getattr(row, ids.key): row for row in rows}
        return [(tuple(row), by_id[row[-1]]) for row in keys]

    place = Cursor.decode(cursor, (int, str, int, int))
    page = page_at(read, place, lambda line: line[0])
    return Page([row for _, row in page.rows], page.newer, page.older)


def _parts(grouping: GroupOrder, cursor: Cursor | None, reverse: bool) -> Iterator[Select[Any]]:
    """Yield the ordered queries that are read in turn until the page is full."""
    is_on = cursor is None or not cursor.newer
    is_up = is_on is not reverse
    place = None if cursor is None else _Place(*cursor.key)  # type: ignore[arg-type]  # as decoded
    if place is None or place.rank == NAMED:
        yield from _named(grouping, place, is_up)
        if is_on:
            yield _nameless(grouping, None, is_up)
        return
    yield _nameless(grouping, place, is_up)
    if not is_on:
        yield from _named(grouping, None, is_up)


def _nameless(grouping: GroupOrder, place: _Place | None, is_up: bool) -> Select[Any]:
    (ids,) = grouping.nameless.selected_columns
    lines = grouping.nameless.with_only_columns(*_key(NAMELESS, literal(""), literal(0), ids))
    return _beside(lines, [ids], [place.id] if place else None, is_up)


def _named(grouping: GroupOrder, place: _Place | None, is_up: bool) -> Iterator[Select[Any]]:
    name, group = func.lower(grouping.names), grouping.groups.expression
    members = grouping.members(group)
    (ids,) = members.selected_columns
    if not grouping.is_scanned:
        lines = members.add_columns(name).with_only_columns(*_key(NAMED, name, group, ids))
        key = [place.name, place.group, place.id] if place else None
        yield _beside(lines, [name, group, ids], key, is_up)
        return
    if place:
        own = grouping.members(literal(place.group, BigInteger))
        lines = own.with_only_columns(*_key(NAMED, literal(place.name), literal(place.group), ids))
        yield _beside(lines, [ids], [place.id], is_up)
    # coalesce() matches no index, so the plan goes through groups, not through all members.
    members = grouping.members(func.coalesce(group, group))
    lines = members.where(_among_first(members, grouping, is_up))
    lines = lines.with_only_columns(*_key(NAMED, name, group, ids))
    key = [place.name, place.group] if place else None
    yield _beside(lines, [name, group], key, is_up).order_by(ids.asc() if is_up else ids.desc())


def _among_first(members: Select[int], grouping: GroupOrder, is_up: bool) -> ColumnElement[bool]:
    """Limit each group to one page, up to and including the id of the row after it."""
    (ids,) = members.selected_columns
    table = grouping.groups.class_
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
    """Sort by the key, starting next to the place."""
    if place is not None:
        types = [String if isinstance(part, str) else BigInteger for part in place]
        here, there = tuple_(*key), tuple_(*place, types=types)
        # SQLite uses this separate bound to enter the index at the place.
        first: ColumnElement[Any] = literal(place[0], types[0])
        lines = lines.where(key[0] >= first if is_up else key[0] <= first)
        lines = lines.where(here > there if is_up else here < there)
    return lines.order_by(*(column.asc() if is_up else column.desc() for column in key))


class AssetOrder(StrEnum):
    """The orders of the list. They ignore case, and rows without a value come last."""

    ADDED = "added"
    NAME = "name"
    TAG = "tag"
    STATUS = "status"
    CHANGED = "changed"
    CATEGORY = "category"
    LOCATION = "location"
    HOLDER = "holder"
    SERIAL = "serial"


# Statuses that need the most attention come first, and assets that are out before available ones.
RANKS: Final = (
    AssetStatus.LOST,
    AssetStatus.BROKEN,
    AssetStatus.WARRANTY,
    AssetStatus.MAINTENANCE,
    AssetStatus.CHECKED_OUT,
    AssetStatus.ALLOCATED,
    AssetStatus.AVAILABLE,
    AssetStatus.LIQUIDATED,
)
# Likelihoods that keep SQLite's planner on the index of the order
# (https://sqlite.org/lang_corefunc.html#likelihood).
OFTEN: Final[ColumnElement[float]] = literal_column("0.99")
UNLIKELY: Final[ColumnElement[float]] = literal_column("0.0001")


def in_order(
    chosen: AssetFilter,
    cursor: str | None = None,
    order: AssetOrder = AssetOrder.ADDED,
    *,
    reverse: bool = False,
) -> Page[Asset]:
    """Return a page of matching assets with their category and location.

    `reverse` inverts every order except `ADDED`. Rows without a name to sort by stay at the end.
    """
    if order is AssetOrder.ADDED:
        return list_assets(chosen, cursor)
    query = select(Asset).options(joinedload(Asset.category), joinedload(Asset.location))
    few = _few(chosen, order)
    if order is AssetOrder.STATUS:
        return in_ranks(query, Asset.id, cursor, _by_status(chosen, few), reverse=reverse)
    if order in GROUP_ORDERS:
        grouping = GROUP_ORDERS[order](_matching(chosen, few), few is None)
        return by_group(query, Asset.id, cursor, grouping, reverse=reverse)
    if order is AssetOrder.NAME and few is None and (branches := _by_name(chosen)):
        return by_name(
            query, Asset.name, Asset.id, cursor, _asset, reverse=reverse, branches=branches
        )
    query = query.where(*_matching(chosen, few))
    # For a few rows, coalesce() keeps the planner from scanning the index of the order.
    if order is AssetOrder.CHANGED:
        at = None if few is None else func.coalesce(Asset.updated_at, Asset.updated_at)
        newest = not reverse
        return by_time(query, Asset.updated_at, Asset.id, cursor, by=at, newest=newest)
    column = Asset.name if order is AssetOrder.NAME else Asset.asset_tag
    names = column if few is None else func.coalesce(column, column)
    return by_name(query, names, Asset.id, cursor, _asset, reverse=reverse)


def _asset(asset: Asset) -> Asset:
    return asset


def _few(chosen: AssetFilter, order: AssetOrder) -> Sequence[int] | None:
    """Return the ids of the matches, or None for too many to sort or for all of an index."""
    is_alone = chosen == AssetFilter(shown=chosen.shown)
    has_scans = order is AssetOrder.NAME and chosen.shown in STATUSES
    if is_alone and (chosen.shown is None or has_scans):
        return None
    ids = matching(chosen, COUNTED_BESIDE + 1)
    return ids if len(ids) <= COUNTED_BESIDE else None


def _matching(
    chosen: AssetFilter, few: Sequence[int] | None, *, of_any_status: bool = False
) -> list[ColumnElement[bool]]:
    """Return the conditions on a scanned row."""
    if few is not None:
        return [Asset.id.in_(few)]
    asked = conditions(chosen)
    statuses = STATUSES.get(chosen.shown, ()) if chosen.shown and not of_any_status else ()
    if statuses:
        asked.append(Asset.status.in_(statuses))
    if chosen.search:
        asked.append(or_(holds_words(chosen.search), Asset.id.in_(by_holder(chosen.search))))
    return [_likely(condition, OFTEN) for condition in asked]


def _by_status(chosen: AssetFilter, few: Sequence[int] | None) -> list[list[Select[Any]]]:
    """Return each rank's scans along the index of statuses, empty for excluded statuses."""
    among = STATUSES.get(chosen.shown, RANKS) if chosen.shown else RANKS
    asked = _matching(chosen, few, of_any_status=True)
    scan, status = ASSETS, Asset.status.expression
    if few is not None:  # coalesce() avoids the index, as above
        scan = select(func.coalesce(Asset.id, Asset.id))
        status = func.coalesce(status, status)
    return [
        [scan.where(_likely(status == status_at_rank, UNLIKELY), *asked)]
        if status_at_rank in among
        else []
        for status_at_rank in RANKS
    ]


def _by_name(chosen: AssetFilter) -> list[Select[int]]:
    """Return a scan of each requested status along the index of statuses and names."""
    among = STATUSES.get(chosen.shown, ()) if chosen.shown else ()
    if chosen.deleted or not among:
        return []
    asked = _matching(chosen, None, of_any_status=True)
    return [
        ASSETS.where(_likely(Asset.status == shown_status, UNLIKELY), *asked)
        for shown_status in among
    ]


def _grouped(
    column: InstrumentedAttribute[int | None], kind: type[Category] | type[Location]
) -> Callable[[list[ColumnElement[bool]], bool], GroupOrder]:
    def grouping(asked: list[ColumnElement[bool]], is_scanned: bool) -> GroupOrder:
        # For a few rows, coalesce() avoids the index, as above.
        grouped = column if is_scanned else func.coalesce(column, column)
        return GroupOrder(
            names=kind.name,
            groups=kind.id,
            members=lambda group: ASSETS.where(grouped == group, *asked),
            nameless=ASSETS.where(grouped.is_(None), *asked),
            is_scanned=is_scanned,
        )

    return grouping


def _held(asked: list[ColumnElement[bool]], is_scanned: bool) -> GroupOrder:
    is_open = Assignment.ended_at.is_(None)
    holding = select(Assignment.asset_id).join(Asset, Asset.id == Assignment.asset_id)
    return GroupOrder(
        names=Staff.name,
        groups=Staff.id,
        members=lambda group: holding.where(is_open, Assignment.staff_id == group, *asked),
        nameless=ASSETS.where(~exists().where(is_open, Assignment.asset_id == Asset.id), *asked),
        is_scanned=is_scanned,
    )


def _numbered(asked: list[ColumnElement[bool]], is_scanned: bool) -> GroupOrder:
    """Order by serial number, where every asset is its own group."""
    has_one = Asset.serial_number.is_not(None)
    return GroupOrder(
        names=Asset.serial_number,
        groups=Asset.id,
        members=lambda _: ASSETS.where(has_one, *asked),
        nameless=ASSETS.where(~has_one, *asked),
        is_scanned=False,
    )


GROUP_ORDERS: Final[
    Mapping[AssetOrder, Callable[[list[ColumnElement[bool]], bool], GroupOrder]]
] = {
    AssetOrder.CATEGORY: _grouped(Asset.category_id, Category),
    AssetOrder.LOCATION: _grouped(Asset.location_id, Location),
    AssetOrder.HOLDER: _held,
    AssetOrder.SERIAL: _numbered,
}


def _likely(condition: ColumnElement[bool], how_often: ColumnElement[float]) -> ColumnElement[bool]:
    is_sqlite = session().get_bind().dialect.name == "sqlite"
    return func.likelihood(condition, how_often) if is_sqlite else condition
