"""What a row of an import would change, field by field, in the terms of the timeline."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.orm import Session

from portal.engine.events import body
from portal.engine.events.body import Holder
from portal.lib.excerpts import excerpts
from portal.models.assets import Asset, AssetStatus, Category, Location
from portal.models.assignments import Staff
from portal.services.actions.lifecycle import OF_STOCK, PLAIN
from portal.services.assets.rules import AssetValues
from portal.services.assets.snapshots import fields_of, ref

Changes = dict[str, dict[str, Any]]
MODELS: Final[Mapping[str, type[Any]]] = {"category": Category, "location": Location}


def changes_of(
    current: Session,
    asset: Asset,
    values: AssetValues,
    wanted: Mapping[str, str],
    staff: Staff | None,
) -> Changes:
    """{field: {from, to}} as the asset's timeline would say it; long texts where they differ.

    `values` has nothing that an asset of its kind does not keep. `wanted`: categories and
    locations that are still to be added, by name; `staff`: who gets it.
    """
    before = fields_of(asset)
    after = before | {name: getattr(values, name) for name in (*PLAIN, *OF_STOCK, "asset_tag")}
    for name, model in MODELS.items():
        row_id = getattr(values, f"{name}_id")
        after[name] = ref(current.get(model, row_id)) if row_id else None
    after |= {name: {"name": called} for name, called in wanted.items()}
    if staff:
        after |= {"status": AssetStatus.ALLOCATED, "holder": _holder(staff)}
    return {name: _brief(change) for name, change in body.changes(before, after)[1].items()}


def handover(staff: Staff | None) -> Changes:
    """Who gets an asset that is only just added."""
    return body.changes({"holder": None}, {"holder": _holder(staff)})[1] if staff else {}


def _holder(staff: Staff) -> Holder:
    return Holder(staff.id, staff.name, staff.email)


def _brief(change: dict[str, Any]) -> dict[str, Any]:
    """`change`, whose new value is there: a blank cell changes nothing."""
    old, new = change["from"], change["to"]
    if not isinstance(new, str):
        return change
    shown = excerpts(old or "", new)
    return {"from": shown[0] or None, "to": shown[1]}
