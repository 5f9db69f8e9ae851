"""A page of the register's list in each of its orders, at the same cost however many there are.

What few match is sorted. Of many, the index of the order is walked, and what does not match is left
out on the way.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select
from sqlalchemy.orm import joinedload

from portal.lib.paging import Page
from portal.models.assets import Asset, AssetStatus
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
    needs somebody most first, or what was changed last first."""

    ADDED = "added"
    NAME = "name"
    TAG = "tag"
    STATUS = "status"
    CHANGED = "changed"


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
    way round, of every order but `ADDED`. Reads only."""
    if order is AssetOrder.ADDED:
        return list_assets(chosen, cursor)
    wanted = select(Asset).options(joinedload(Asset.category), joinedload(Asset.location))
    few = _few(chosen)
    if order is AssetOrder.STATUS:
        return in_ranks(wanted, Asset.id, cursor, _by_status(chosen, few), reverse=reverse)
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


def _few(chosen: AssetFilter) -> Sequence[int] | None:
    """The ids of what matches; None: more than are sorted."""
    if chosen == AssetFilter():
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


def _likely(condition: ColumnElement[bool], how_often: ColumnElement[float]) -> ColumnElement[bool]:
    is_sqlite = session().get_bind().dialect.name == "sqlite"
    return func.likelihood(condition, how_often) if is_sqlite else condition
