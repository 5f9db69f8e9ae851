"""Export the filtered assets and maintenance as CSV rows, reading each chunk in a transaction."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal.extensions import settings
from portal.lib.file_lock import FileLock
from portal.models.assets import Asset
from portal.models.assignments import Assignment
from portal.models.planning import Maintenance
from portal.services.actions.planning.queries import (
    MaintenanceList,
    costs_of,
    list_maintenances,
)
from portal.services.assets.fields import ASSET_FIELDS, FieldType, fields_of_type
from portal.services.assets.queries import AssetFilter, holders, matching
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session

HOLDER_COLUMN: Final = "assigned_to_email"
# In the order of exported files. An import accepts these in any order.
COLUMNS: Final = (
    *(field.name for field in sorted(ASSET_FIELDS, key=lambda field: field.column)),
    HOLDER_COLUMN,
)
# Columns that only actions change.
MOVED: Final = ("status", "assigned_to", "due_at")
# Further columns of an export, which an import ignores.
READ_ONLY: Final = (*MOVED, "maintenance_cost", "id", "created_at", "updated_at")
# A further column in the file of failed rows.
PROBLEM: Final = "problem"

CHUNK: Final = 500


def rows(chosen: AssetFilter) -> Iterator[Sequence[object]]:
    """Yield the header, then every matching asset, oldest first."""
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
    query = select(Asset).where(Asset.id.in_(ids)).order_by(Asset.id)
    query = query.options(joinedload(Asset.category), joinedload(Asset.location))
    assets = current.scalars(query).all()
    holdings, costs = holders(ids), costs_of(ids)
    chunk = [
        (asset.id, _row(asset, holdings.get(asset.id), costs.get(asset.id))) for asset in assets
    ]
    # Without this, the transaction would stay open while the client reads the file.
    current.rollback()
    return chunk


def _row(asset: Asset, held: Assignment | None, cost: Decimal | None) -> list[object]:
    cells: dict[str, object] = {
        "status": "deleted" if asset.deleted_at else asset.status,
        "assigned_to_email": held.staff.email if held else None,
        "assigned_to": held.staff.name if held else None,
        "due_at": held.due_at if held else None,
        "maintenance_cost": cost,
    }
    for field in fields_of_type(FieldType.LISTED):
        row = getattr(asset, field.name)
        cells[field.name] = row.name if row else None
    for field in fields_of_type(FieldType.YES_NO):
        cells[field.name] = "yes" if getattr(asset, field.name) else "no"
    return [
        cells[name] if name in cells else getattr(asset, name) for name in (*COLUMNS, *READ_ONLY)
    ]


MAINTENANCE_COLUMNS: Final = (
    "asset_tag",
    "asset",
    "task",
    "type",
    "state",
    "due_on",
    "completed_on",
    "outcome",
    "assigned_to",
    "done_by",
    "company",
    "estimated_cost",
    "cost",
    "currency",
    "note",
)


def maintenance_rows(which: MaintenanceList, asset_id: int | None) -> Iterator[Sequence[object]]:
    """Yield the header, then the listed maintenance, in the order of the list."""
    yield MAINTENANCE_COLUMNS
    cursor = None
    while True:
        page = list_maintenances(which, asset_id, cursor)
        rows = [_work(maintenance) for maintenance in page.rows]
        session().rollback()
        yield from rows
        cursor = page.older
        if cursor is None:
            return


def _work(done: Maintenance) -> Sequence[object]:
    return (
        done.asset.asset_tag,
        done.asset.name,
        done.title,
        done.type,
        done.state,
        done.due_on,
        done.completed_on,
        done.outcome,
        done.assignee.name if done.assignee else None,
        done.performed_by.name if done.performed_by else None,
        done.supplier,
        done.estimated_cost,
        done.cost,
        settings().currency,
        done.note,
    )


MOST: Final = 2
FOLDER: Final = "exports"


class TooManyExports(Refusal):
    """A refusal because the person already has `MOST` exports in progress."""

    status = 429

    def __init__(self) -> None:
        super().__init__(
            f"You have {MOST} exports in progress. Wait until one finishes or stop one in your "
            "browser. Then try again."
        )


def take_slot(user_id: int) -> FileLock:
    """Return a slot for one more export of this person. Raises `TooManyExports`."""
    names = (f"{user_id}.{number}" for number in range(MOST))
    slot = FileLock.take_any(settings().instance_dir / FOLDER, names)
    if slot is None:
        raise TooManyExports
    return slot
