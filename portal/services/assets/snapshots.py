"""From a row of the register to what its events carry."""

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import contains_eager

from portal.engine.events.body import AssetSnapshot, Holder, Ref
from portal.extensions import settings
from portal.models.assets import Asset, AssetStatus, Category, Location
from portal.models.assignments import Assignment
from portal.services.core.unit_of_work import session

# Fields whose change is told under their own name, besides those of the snapshot.
QUIET_FIELDS: Final = ("reservable", "notes", "deleted_at")
WITH_SOMEBODY: Final = frozenset({AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT})


def snapshot(asset: Asset) -> AssetSnapshot:
    """The asset as receivers see it. Flush first: ids, numbers and times must be the stored ones.

    Money is in the installation's currency; it is named even where no cost is known.
    """
    return AssetSnapshot(
        id=asset.id,
        asset_tag=asset.asset_tag,
        name=asset.name,
        kind=asset.kind,
        category=ref(asset.category),
        manufacturer=asset.manufacturer,
        model=asset.model,
        serial_number=asset.serial_number,
        status=asset.status,
        condition=asset.condition,
        location=ref(asset.location),
        holder=_holder(asset),
        supplier=asset.supplier,
        order_number=asset.order_number,
        purchase_date=asset.purchase_date,
        purchase_cost=asset.purchase_cost,
        currency=settings().currency,
        warranty_expires=asset.warranty_expires,
        quantity=asset.quantity,
        min_quantity=asset.min_quantity,
        unit=asset.unit,
        version=asset.version,
        created_at=asset.created_at,
        updated_at=asset.updated_at,
    )


def fields_of(asset: Asset, seen: AssetSnapshot | None = None) -> dict[str, Any]:
    """Everything whose change is worth telling, by its name on the wire. `seen`: its snapshot.

    The due time stands apart from the holder, so that a new one is no new holder.
    """
    seen = seen or snapshot(asset)
    fields = {name: getattr(seen, name) for name in seen.__dataclass_fields__}
    if seen.holder:
        fields["holder"] = replace(seen.holder, due_at=None)
    due_at = seen.holder.due_at if seen.holder else None
    quiet = {name: getattr(asset, name) for name in QUIET_FIELDS}
    return fields | {"due_at": due_at} | quiet


def ref(named: Category | Location | None) -> Ref | None:
    """A category or a location as receivers see it."""
    return Ref(named.id, named.name) if named else None


def open_assignment(asset_id: int) -> Assignment | None:
    """Who has the asset now, with the person; None while nobody does."""
    wanted = (
        select(Assignment)
        .join(Assignment.staff)
        .where(Assignment.asset_id == asset_id, Assignment.ended_at.is_(None))
        .options(contains_eager(Assignment.staff))
    )
    return session().scalars(wanted).first()


def holder_of(assignment: Assignment) -> Holder:
    """The person of an assignment as the holder in a snapshot."""
    staff = assignment.staff
    return Holder(staff.id, staff.name, staff.email, assignment.due_at)


def _holder(asset: Asset) -> Holder | None:
    if asset.status not in WITH_SOMEBODY:
        return None
    found = open_assignment(asset.id)
    return holder_of(found) if found else None
