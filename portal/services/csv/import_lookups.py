"""What the cells of a row name that the register has already: asset, category, location, person."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.lib.clock import utcnow
from portal.models.assets import Action, Asset, AssetKind, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.services.actions import reservation_rows
from portal.services.actions.why_not import why_not
from portal.services.assets import named_lists
from portal.services.assets.rules import AssetValues
from portal.services.assets.snapshots import open_assignment
from portal.services.assets.uniqueness import holder_of_serial, refuse_taken
from portal.services.core.refusals import Refusal
from portal.services.csv.import_values import Cells

LISTS: Final[Mapping[str, tuple[type[Any], named_lists.NamedList]]] = {
    "category": (Category, named_lists.CATEGORIES),
    "location": (Location, named_lists.LOCATIONS),
}


def existing(current: Session, cells: Cells, *, locked: bool = False) -> Asset | None:
    """The asset that the row is about: the undeleted one with its tag; `locked` for a change."""
    tag = cells.get("asset_tag")
    if not tag:
        return None
    same = func.lower(Asset.asset_tag) == func.lower(tag)
    wanted = select(Asset).where(same, Asset.deleted_at.is_(None))
    if locked:
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    return current.scalars(wanted).first()


def placed(
    current: Session, values: AssetValues, cells: Cells, *, may_add: bool
) -> tuple[AssetValues, dict[str, str]]:
    """The values with category and location; and the names of those that are to be added first."""
    wanted = {}
    for called, (model, _) in LISTS.items():
        name = cells.get(called)
        if not name:
            continue
        if len(name) > named_lists.LONGEST_NAME:
            raise Refusal(f"Use at most {named_lists.LONGEST_NAME} characters in {called}")
        row_id = current.scalar(select(model.id).where(func.lower(model.name) == func.lower(name)))
        if row_id is not None:
            values = replace(values, **{f"{called}_id": row_id})
        elif may_add:
            wanted[called] = name
        else:
            way_out = "Add it first, or let the import add it: choose the file again and tick that"
            raise Refusal(f"There is no {called} called “{name}”. {way_out}")
    return values, wanted


def person(
    current: Session, asset: Asset | None, values: AssetValues, cells: Cells
) -> Staff | None:
    """Who is to get the asset; None where nobody is, or that person has it already."""
    email = cells.get("assigned_to_email")
    if not email:
        return None
    if values.kind == AssetKind.STOCK:
        raise Refusal("Stock is not assigned to a person. Leave assigned_to_email blank")
    staff = current.scalar(select(Staff).where(func.lower(Staff.email) == func.lower(email)))
    if staff is None:
        raise Refusal(f"Nobody on the staff list has the address {email[:254]}")
    held = open_assignment(asset.id) if asset else None
    if held and held.staff_id == staff.id:
        return None
    if asset:
        _refuse_not_free(asset, held)
    if not staff.is_active:
        raise Refusal(f"{staff.name} has left")
    if asset:
        _refuse_reserved(current, asset, staff)
    return staff


def refuse_nameless(asset: Asset | None, cells: Cells) -> None:
    """Refuse a tag that nobody has: most often a slip, and no reason to ask for the name alone."""
    tag = cells.get("asset_tag")
    if tag and asset is None and not cells.get("name"):
        raise Refusal(f"No asset has the tag {tag[:40]}. To add one with it, enter its name")


def refuse_taken_by_another(current: Session, values: AssetValues, asset: Asset | None) -> None:
    """Refuse a serial number of another asset; to a row without a tag, say how it is meant."""
    other = None if values.asset_tag else holder_of_serial(current, values.serial_number)
    if other:
        way_out = f"If this row is about it, enter {other.asset_tag} in asset_tag"
        raise Refusal(f"{other.asset_tag} already has this serial number. {way_out}")
    refuse_taken(current, None, values.serial_number, asset.id if asset else None)


def _refuse_not_free(asset: Asset, held: Assignment | None) -> None:
    holder = held.staff.name if held else None
    words = why_not(Action.ALLOCATE, asset.status, asset.kind, holder=holder)
    if words:
        raise Refusal(f"{asset.asset_tag} {words.removesuffix('.')}")


def _refuse_reserved(current: Session, asset: Asset, staff: Staff) -> None:
    rival = reservation_rows.conflict(current, asset.id, utcnow(), None, for_staff_id=staff.id)
    if rival:
        raise Refusal(f"{rival.staff.name} has reserved it. Reject that reservation first")
