"""The register as a list: searched, filtered, the newest first, in keyset pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import joinedload

from portal.lib.paging import Page
from portal.models.assets import Asset, AssetStatus, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.services.core.counting import capped
from portal.services.core.keyset import newest_first
from portal.services.core.search import any_holds
from portal.services.core.unit_of_work import database_time, session


class Shown(StrEnum):
    """What a chip above the list shows."""

    FREE = "free"
    OUT = "out"
    OVERDUE = "overdue"
    MAINTENANCE = "maintenance"
    BROKEN = "broken"
    LOST = "lost"
    LOW = "low"


# The chips that are no more than some statuses.
STATUSES: Final[Mapping[Shown, tuple[AssetStatus, ...]]] = {
    Shown.FREE: (AssetStatus.AVAILABLE,),
    Shown.OUT: (AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT),
    Shown.MAINTENANCE: (AssetStatus.MAINTENANCE,),
    Shown.BROKEN: (AssetStatus.BROKEN, AssetStatus.WARRANTY),
    Shown.LOST: (AssetStatus.LOST,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFilter:
    """What narrows the list.

    `search` looks into tag, name, serial number, and the name and address of whoever has it.
    `deleted`: what was deleted, and nothing else; otherwise nothing that was.
    """

    search: str = ""
    category: UUID | None = None
    location: UUID | None = None
    status: AssetStatus | None = None
    shown: Shown | None = None
    deleted: bool = False


def list_assets(chosen: AssetFilter, cursor: str | None = None) -> Page[Asset]:
    """One page of the assets that match, with their category and location."""
    wanted = matching(chosen).options(joinedload(Asset.category), joinedload(Asset.location))
    return newest_first(wanted, Asset.id, cursor)


def matching(chosen: AssetFilter) -> Select[Asset]:
    """The assets that match."""
    gone = Asset.deleted_at.is_not(None) if chosen.deleted else Asset.deleted_at.is_(None)
    return select(Asset).where(gone, *_conditions(chosen))


def has_assets() -> bool:
    """Whether the register holds anything at all."""
    wanted = select(Asset.id).where(Asset.deleted_at.is_(None)).limit(1)
    return session().execute(wanted).first() is not None


def counts(chosen: AssetFilter) -> dict[Shown | None, int]:
    """How many assets each chip would show beside the other filters (`capped`)."""
    return {each: count(replace(chosen, shown=each)) for each in (None, *Shown)}


def holders(ids: Sequence[int]) -> dict[int, Assignment]:
    """Who has which of these assets, each with the person."""
    wanted = select(Assignment).where(Assignment.asset_id.in_(ids), Assignment.ended_at.is_(None))
    rows = session().scalars(wanted.options(joinedload(Assignment.staff)))
    return {row.asset_id: row for row in rows}


def count(chosen: AssetFilter) -> int:
    """How many match (`capped`)."""
    return capped(session(), matching(chosen).with_only_columns(Asset.id))


def is_overdue(now: datetime) -> ColumnElement[bool]:
    """Whether a loan should have ended by `now`, as a condition on assignments."""
    return and_(Assignment.ended_at.is_(None), Assignment.due_at < now)


def is_low() -> ColumnElement[bool]:
    """Whether there are fewer than there should be, as a condition on assets."""
    return and_(Asset.min_quantity.is_not(None), Asset.quantity < Asset.min_quantity)


def _conditions(chosen: AssetFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if chosen.search:
        found.append(_holds(chosen.search))
    if chosen.category:
        found.append(Asset.category.has(Category.public_id == chosen.category))
    if chosen.location:
        found.append(Asset.location.has(Location.public_id == chosen.location))
    if chosen.status:
        found.append(Asset.status == chosen.status)
    if chosen.shown:
        found.append(_of_chip(chosen.shown))
    return found


def _holds(words: str) -> ColumnElement[bool]:
    own = (Asset.asset_tag, Asset.name, Asset.serial_number)
    held = (
        select(Assignment.asset_id)
        .join(Staff, Staff.id == Assignment.staff_id)
        .where(Assignment.ended_at.is_(None), any_holds((Staff.name, Staff.email), words))
    )
    return or_(any_holds(own, words), Asset.id.in_(held))


def _of_chip(chip: Shown) -> ColumnElement[bool]:
    if chip is Shown.LOW:
        return is_low()
    if chip is Shown.OVERDUE:
        late = select(Assignment.asset_id).where(is_overdue(database_time(session())))
        return Asset.id.in_(late)
    return Asset.status.in_(STATUSES[chip])
