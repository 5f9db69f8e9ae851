"""A page of the register's list in each of its orders, at the same cost however many there are.

What few match is sorted. Of many, the index of the order is walked, and what does not match is left
out on the way; by name, each status has its own part of an index.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, exists, func, literal_column, or_, select
from sqlalchemy.orm import InstrumentedAttribute, joinedload

from portal.lib.paging import Page
from portal.models.assets import Asset, AssetStatus, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.services.assets.named_pages import Naming, by_naming
from portal.services.assets.queries import (
    ASSETS,
    COUNTED_BESIDE,
    STATUSES,
    AssetFilter,
    conditions,
    list_assets,
    matching,
)
from portal.services.assets.search import by_holder, holds_words
from portal.services.core.keyset import by_name, in_ranks, latest_first, soonest_first
from portal.services.core.unit_of_work import session


class AssetOrder(StrEnum):
    """What the list is sorted by: the newest first, by name or tag whatever the capitals, what
    needs somebody most first, or what was changed last first; by the names of category, location or
    holder, or by serial number, what has none last."""

    ADDED = "added"
    NAME = "name"
    TAG = "tag"
    STATUS = "status"
    CHANGED = "changed"
    CATEGORY = "category"
    LOCATION = "location"
    HOLDER = "holder"
    SERIAL = "serial"


# What needs somebody most first; what is out before what is there.
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
# How often a condition is true, as SQLite's planner is told: it shall not leave the index of the
# order (https://sqlite.org/lang_corefunc.html#likelihood).
OFTEN: Final[ColumnElement[float]] = literal_column("0.99")
SELDOM: Final[ColumnElement[float]] = literal_column("0.0001")


def in_order(
    chosen: AssetFilter,
    cursor: str | None = None,
    order: AssetOrder = AssetOrder.ADDED,
    *,
    reverse: bool = False,
) -> Page[Asset]:
    """One page of the assets that match, with their category and location. `reverse`: the other
    way round, of every order but `ADDED`; what has no name to be sorted by stays at the end. Reads
    only."""
    if order is AssetOrder.ADDED:
        return list_assets(chosen, cursor)
    wanted = select(Asset).options(joinedload(Asset.category), joinedload(Asset.location))
    few = _few(chosen, order)
    if order is AssetOrder.STATUS:
        return in_ranks(wanted, Asset.id, cursor, _by_status(chosen, few), reverse=reverse)
    if order in NAMINGS:
        naming = NAMINGS[order](_matching(chosen, few), few is None)
        return by_naming(wanted, Asset.id, cursor, naming, reverse=reverse)
    if order is AssetOrder.NAME and few is None and (walks := _by_name(chosen)):
        return by_name(wanted, Asset.name, Asset.id, cursor, _asset, reverse=reverse, walks=walks)
    wanted = wanted.where(*_matching(chosen, few))
    # Of few the order is said in words that no index has, or it would be walked for them.
    if order is AssetOrder.CHANGED:
        at = None if few is None else func.coalesce(Asset.updated_at, Asset.updated_at)
        by_time = soonest_first if reverse else latest_first
        return by_time(wanted, Asset.updated_at, Asset.id, cursor, at)
    column = Asset.name if order is AssetOrder.NAME else Asset.asset_tag
    names = column if few is None else func.coalesce(column, column)
    return by_name(wanted, names, Asset.id, cursor, _asset, reverse=reverse)


def _asset(asset: Asset) -> Asset:
    return asset


def _few(chosen: AssetFilter, order: AssetOrder) -> Sequence[int] | None:
    """The ids of what matches; None: more than are sorted, or all of an index."""
    is_alone = chosen == AssetFilter(shown=chosen.shown)
    has_walks = order is AssetOrder.NAME and chosen.shown in STATUSES
    if is_alone and (chosen.shown is None or has_walks):
        return None
    found = matching(chosen, COUNTED_BESIDE + 1)
    return found if len(found) <= COUNTED_BESIDE else None


def _matching(
    chosen: AssetFilter, few: Sequence[int] | None, *, of_any_status: bool = False
) -> list[ColumnElement[bool]]:
    """What a row that is walked by has to be."""
    if few is not None:
        return [Asset.id.in_(few)]
    wanted = conditions(chosen)
    statuses = STATUSES.get(chosen.shown, ()) if chosen.shown and not of_any_status else ()
    if statuses:
        wanted.append(Asset.status.in_(statuses))
    if chosen.search:
        wanted.append(or_(holds_words(chosen.search), Asset.id.in_(by_holder(chosen.search))))
    return [_likely(each, OFTEN) for each in wanted]


def _by_status(chosen: AssetFilter, few: Sequence[int] | None) -> list[list[Select[Any]]]:
    """The walks of each rank, along the index of statuses; none of one that is left out."""
    among = STATUSES.get(chosen.shown, RANKS) if chosen.shown else RANKS
    found = _matching(chosen, few, of_any_status=True)
    walk, status = ASSETS, Asset.status.expression
    if few is not None:  # in words that no index has, as above
        walk = select(func.coalesce(Asset.id, Asset.id))
        status = func.coalesce(status, status)
    return [
        [walk.where(_likely(status == each, SELDOM), *found)] if each in among else []
        for each in RANKS
    ]


def _by_name(chosen: AssetFilter) -> list[Select[int]]:
    """A walk of each status that is wanted, along the index of statuses and names."""
    among = STATUSES.get(chosen.shown, ()) if chosen.shown else ()
    if chosen.deleted or not among:
        return []
    found = _matching(chosen, None, of_any_status=True)
    return [ASSETS.where(_likely(Asset.status == each, SELDOM), *found) for each in among]


def _grouped(
    column: InstrumentedAttribute[int | None], kind: type[Category] | type[Location]
) -> Callable[[list[ColumnElement[bool]], bool], Naming]:
    """Sorted by what the column names."""

    def naming(wanted: list[ColumnElement[bool]], is_walked: bool) -> Naming:
        # Of few, in words that no index has, as above.
        grouped = column if is_walked else func.coalesce(column, column)
        return Naming(
            names=kind.name,
            groups=kind.id,
            members=lambda group: ASSETS.where(grouped == group, *wanted),
            nameless=ASSETS.where(grouped.is_(None), *wanted),
            is_walked=is_walked,
        )

    return naming


def _held(wanted: list[ColumnElement[bool]], is_walked: bool) -> Naming:
    """Sorted by who has it."""
    is_open = Assignment.ended_at.is_(None)
    holding = select(Assignment.asset_id).join(Asset, Asset.id == Assignment.asset_id)
    return Naming(
        names=Staff.name,
        groups=Staff.id,
        members=lambda group: holding.where(is_open, Assignment.staff_id == group, *wanted),
        nameless=ASSETS.where(~exists().where(is_open, Assignment.asset_id == Asset.id), *wanted),
        is_walked=is_walked,
    )


def _numbered(wanted: list[ColumnElement[bool]], is_walked: bool) -> Naming:
    """Sorted by its serial number: every one is a group of its own."""
    has_one = Asset.serial_number.is_not(None)
    return Naming(
        names=Asset.serial_number,
        groups=Asset.id,
        members=lambda _: ASSETS.where(has_one, *wanted),
        nameless=ASSETS.where(~has_one, *wanted),
        is_walked=False,
    )


NAMINGS: Final[Mapping[AssetOrder, Callable[[list[ColumnElement[bool]], bool], Naming]]] = {
    AssetOrder.CATEGORY: _grouped(Asset.category_id, Category),
    AssetOrder.LOCATION: _grouped(Asset.location_id, Location),
    AssetOrder.HOLDER: _held,
    AssetOrder.SERIAL: _numbered,
}


def _likely(condition: ColumnElement[bool], how_often: ColumnElement[float]) -> ColumnElement[bool]:
    is_sqlite = session().get_bind().dialect.name == "sqlite"
    return func.likelihood(condition, how_often) if is_sqlite else condition
