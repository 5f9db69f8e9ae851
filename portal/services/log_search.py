"""Which assets somebody means who types a tag or a part of a name above the log."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from portal.models.assets import Asset
from portal.services.searching import any_holds

# So many are followed along the index of assets; more are looked for among what is read.
FOLLOWED: Final = 30


@dataclass(frozen=True, slots=True)
class Meant:
    """The ids of the assets that are meant, or, for many, the query that finds them."""

    ids: tuple[int, ...]
    query: Select[int] | None = None


def assets_meant(current: Session, text: str) -> Meant:
    """An exact tag means that asset alone, also a deleted one; else whatever contains the text."""
    exact = select(Asset.id).where(func.lower(Asset.asset_tag) == text.lower())
    ids = _few(current, exact) or ()
    if ids:
        return Meant(ids)
    similar = select(Asset.id).where(any_holds((Asset.asset_tag, Asset.name), text))
    found = _few(current, similar)
    return Meant((), similar) if found is None else Meant(found)


def _few(current: Session, wanted: Select[int]) -> tuple[int, ...] | None:
    """The ids, newest first; None: more than can be followed."""
    some: Any = wanted.order_by(Asset.id.desc()).limit(FOLLOWED + 1)
    ids = tuple(current.execute(some).scalars())
    return ids if len(ids) <= FOLLOWED else None
