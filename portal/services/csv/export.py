"""The register as CSV: what the list shows, in chunks, each read in a transaction of its own."""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal.models.assets import Asset
from portal.models.assignments import Assignment
from portal.services.assets.queries import AssetFilter, holders, matching
from portal.services.core.unit_of_work import session
from portal.services.csv.columns import COLUMNS, READ_ONLY

CHUNK: Final = 500


def rows(chosen: AssetFilter) -> Iterator[Sequence[object]]:
    """The header, then every asset that matches, the oldest first."""
    yield (*COLUMNS, *READ_ONLY)
    after = 0
    while True:
        chunk = _chunk(chosen, after)
        yield from (row for _, row in chunk)
        if len(chunk) < CHUNK:
            return
        after = chunk[-1][0]


def _chunk(chosen: AssetFilter, after: int) -> list[tuple[int, list[object]]]:
    current = session()
    ids = matching(chosen, CHUNK, after)
    wanted = select(Asset).where(Asset.id.in_(ids)).order_by(Asset.id)
    wanted = wanted.options(joinedload(Asset.category), joinedload(Asset.location))
    assets = current.scalars(wanted).all()
    holdings = holders([asset.id for asset in assets])
    chunk = [(asset.id, _row(asset, holdings.get(asset.id))) for asset in assets]
    # No transaction stays open while the file is being read on the other side.
    current.rollback()
    return chunk


def _row(asset: Asset, held: Assignment | None) -> list[object]:
    special = {
        "category": asset.category.name if asset.category else None,
        "location": asset.location.name if asset.location else None,
        "status": "deleted" if asset.deleted_at else asset.status,
        "reservable": "yes" if asset.reservable else "no",
        "assigned_to_email": held.staff.email if held else None,
        "assigned_to": held.staff.name if held else None,
        "due_at": held.due_at if held else None,
    }
    return [
        special[name] if name in special else getattr(asset, name)
        for name in (*COLUMNS, *READ_ONLY)
    ]
