"""From a row of the register to what its events carry."""

from typing import Any, Final

from portal.delivery.payload import AssetSnapshot, Ref
from portal.extensions import settings
from portal.models.assets import Asset, Category, Location

# Fields whose change is told under their own name, besides those of the snapshot.
QUIET_FIELDS: Final = ("reservable", "notes", "deleted_at")


def snapshot(asset: Asset) -> AssetSnapshot:
    """The asset as receivers see it. Flush first: ids, numbers and times must be the stored ones.

    Money is in the installation's currency; it is named even where no cost is known.
    """
    return AssetSnapshot(
        id=asset.id,
        asset_tag=asset.asset_tag,
        name=asset.name,
        kind=asset.kind,
        category=_ref(asset.category),
        manufacturer=asset.manufacturer,
        model=asset.model,
        serial_number=asset.serial_number,
        status=asset.status,
        condition=asset.condition,
        location=_ref(asset.location),
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


def fields_of(asset: Asset) -> dict[str, Any]:
    """Everything whose change is worth telling, by its name on the wire."""
    seen = snapshot(asset)
    fields = {name: getattr(seen, name) for name in seen.__dataclass_fields__}
    return fields | {name: getattr(asset, name) for name in QUIET_FIELDS}


def _ref(named: Category | Location | None) -> Ref | None:
    return Ref(named.id, named.name) if named else None
