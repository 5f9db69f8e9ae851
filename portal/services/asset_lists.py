"""The register as a list: searched, filtered, the newest first, in keyset pages."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import joinedload

from portal.lib.paging import Page
from portal.models.assets import Asset, AssetStatus, Category, Location
from portal.services.keyset import newest_first
from portal.services.unit import session


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFilter:
    """What narrows the list. `search` looks into tag, name and serial number."""

    search: str = ""
    category: UUID | None = None
    location: UUID | None = None
    status: AssetStatus | None = None


def list_assets(chosen: AssetFilter, cursor: str | None = None) -> Page[Asset]:
    """One page of the undeleted assets that match, with their category and location."""
    wanted = _narrowed(select(Asset).where(Asset.deleted_at.is_(None)), chosen)
    wanted = wanted.options(joinedload(Asset.category), joinedload(Asset.location))
    return newest_first(wanted, Asset.id, cursor)


def has_assets() -> bool:
    """Whether the register holds anything at all."""
    wanted = select(Asset.id).where(Asset.deleted_at.is_(None)).limit(1)
    return session().execute(wanted).first() is not None


def _narrowed(wanted: Select[Asset], chosen: AssetFilter) -> Select[Asset]:
    if chosen.search:
        searched = (Asset.asset_tag, Asset.name, Asset.serial_number)
        wanted = wanted.where(
            or_(*(column.icontains(chosen.search, autoescape=True) for column in searched))
        )
    if chosen.category:
        wanted = wanted.where(Asset.category.has(Category.public_id == chosen.category))
    if chosen.location:
        wanted = wanted.where(Asset.location.has(Location.public_id == chosen.location))
    if chosen.status:
        wanted = wanted.where(Asset.status == chosen.status)
    return wanted
