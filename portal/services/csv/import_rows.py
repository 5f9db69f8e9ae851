"""One row of an import: what would become of it, and making it so. Inside `writing()`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.lib.clock import utcnow
from portal.models.assets import Action, Asset, AssetKind, AssetStatus, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.services.actions import assignments, lifecycle, reservation_rows
from portal.services.actions.why_not import why_not
from portal.services.assets import named_lists
from portal.services.assets.rules import AssetValues, faults
from portal.services.assets.snapshots import open_assignment
from portal.services.assets.tag_numbers import next_tag
from portal.services.assets.uniqueness import holder_of_serial, refuse_taken
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.csv.import_changes import Changes, changes_of, handover
from portal.services.csv.import_values import CellError, Cells, filled, kind_of, quantity_of


class Verdict(StrEnum):
    """What would become of a row, and what became of it."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    ERROR = "error"
    CREATED = "created"
    UPDATED = "updated"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a row comes to.

    `wanted`: names of lists that are to be added first. `changes`: {field: {from, to}}.
    """

    verdict: Verdict
    values: AssetValues
    asset_id: int | None = None
    version: int | None = None
    staff_id: int | None = None
    wanted: Mapping[str, str]
    changes: Changes
    remark: str = ""


LISTS: Mapping[str, tuple[type[Any], named_lists.NamedList]] = {
    "category": (Category, named_lists.CATEGORIES),
    "location": (Location, named_lists.LOCATIONS),
}

# As they follow "It is".
KINDS: Mapping[str, str] = {AssetKind.ITEM: "a single item", AssetKind.STOCK: "stock"}


def plan(current: Session, cells: Cells, *, may_add: bool) -> Plan:
    """What the row would do to the register as it is now. Raises `Refusal` with what is wrong.

    `may_add`: categories and locations that are not there yet are to be added.
    """
    asset = existing(current, cells)
    _refuse_nameless(asset, cells)
    try:
        values = filled(_base(asset, cells), cells)
    except CellError as error:
        raise Refusal(str(error)) from None
    if values.kind == AssetKind.ITEM:  # what would not be kept is no change
        values = replace(values, min_quantity=None, unit=None)
    values, wanted = _placed(current, values, cells, may_add)
    found = faults(values)
    if found:
        raise Refusal(found[0].sentence)
    staff = _person(current, asset, values, cells)
    if asset is None:
        _refuse_taken(current, values)
        return Plan(
            verdict=Verdict.CREATE,
            values=values,
            staff_id=staff.id if staff else None,
            wanted=wanted,
            changes=handover(staff),
            remark=_quantity_remark(values, cells),
        )
    return _update(current, asset, values, cells, staff, wanted)


def refuse_other(current: Session, made: Plan, checked_id: int | None) -> None:
    """Refuse what is about another asset than the one that was checked; None: a new one."""
    if made.asset_id == checked_id:
        return
    if checked_id is None:
        refuse_taken(current, made.values.asset_tag, None, None)
    change = "It has been deleted" if made.asset_id is None else "Another asset has this tag"
    raise Refusal(f"{change} since the check. Choose the file again")


def carry_out(current: Session, actor: Actor, made: Plan, besides: Collection[str]) -> int:
    """Do what was planned, in the caller's transaction; the asset's id.

    `besides`: tags of other rows of the file, which a row without a tag does not get.
    """
    values = _with_lists(actor, made)
    asset_id = made.asset_id
    if asset_id is None:
        values = replace(values, asset_tag=values.asset_tag or next_tag(current, besides))
        asset_id = lifecycle.create_asset(actor, values)
    elif made.version is not None:
        lifecycle.edit_asset(actor, asset_id, made.version, values)
    if made.staff_id is not None:
        assignments.allocate(actor, asset_id, staff_id=made.staff_id)
    return asset_id


def _update(
    current: Session,
    asset: Asset,
    values: AssetValues,
    cells: Cells,
    staff: Staff | None,
    wanted: Mapping[str, str],
) -> Plan:
    stored = lifecycle.values_of(asset)
    is_more_than_notes = bool(wanted) or values != replace(stored, notes=values.notes)
    if asset.status == AssetStatus.LIQUIDATED and is_more_than_notes:
        raise Refusal("It is disposed of. Only its notes can be changed")
    refuse_taken(current, None, values.serial_number, asset.id)
    changes = changes_of(current, asset, values, wanted, staff)
    return Plan(
        verdict=Verdict.UPDATE if changes else Verdict.UNCHANGED,
        values=values,
        asset_id=asset.id,
        version=asset.version,
        staff_id=staff.id if staff else None,
        wanted=wanted,
        changes=changes,
        remark=_quantity_remark(stored, cells),
    )


def _refuse_nameless(asset: Asset | None, cells: Cells) -> None:
    """A tag that nobody has, most often a slip, is no reason to ask for the name alone."""
    tag = cells.get("asset_tag")
    if tag and asset is None and not cells.get("name"):
        raise Refusal(f"No asset has the tag {tag[:40]}. To add one with it, enter its name")


def _refuse_taken(current: Session, values: AssetValues) -> None:
    holder = None if values.asset_tag else holder_of_serial(current, values.serial_number)
    if holder:
        way_out = f"If this row is about it, enter {holder.asset_tag} in asset_tag"
        raise Refusal(f"{holder.asset_tag} already has this serial number. {way_out}")
    refuse_taken(current, values.asset_tag, values.serial_number, None)


def existing(current: Session, cells: Cells) -> Asset | None:
    """The asset that the row is about: the undeleted one with its tag."""
    tag = cells.get("asset_tag")
    if not tag:
        return None
    same = func.lower(Asset.asset_tag) == func.lower(tag)
    return current.scalars(select(Asset).where(same, Asset.deleted_at.is_(None))).first()


def _base(asset: Asset | None, cells: Cells) -> AssetValues:
    kind = kind_of(cells)
    if asset is None:
        if kind not in set(AssetKind):
            raise CellError(f"Enter item or stock in kind, not “{kind[:40]}”")
        is_stock = kind == AssetKind.STOCK
        return AssetValues(name="", kind=kind, quantity=(quantity_of(cells) or 0) * is_stock)
    if cells.get("kind") and kind != asset.kind:
        raise CellError(f"It is {KINDS[asset.kind]}, and its kind cannot be changed")
    return lifecycle.values_of(asset)


def _placed(
    current: Session, values: AssetValues, cells: Cells, may_add: bool
) -> tuple[AssetValues, dict[str, str]]:
    wanted = {}
    for called, (model, _) in LISTS.items():
        name = cells.get(called)
        if not name:
            continue
        if len(name) > named_lists.LONGEST_NAME:
            raise Refusal(f"Use at most {named_lists.LONGEST_NAME} characters in {called}")
        row_id = current.scalar(select(model.id).where(func.lower(model.name) == func.lower(name)))
        if row_id is None and not may_add:
            way_out = "Add it first, or let the import add it: choose the file again and tick that"
            raise Refusal(f"There is no {called} called “{name}”. {way_out}")
        if row_id is None:
            wanted[called] = name
        else:
            values = replace(values, **{f"{called}_id": row_id})
    return values, wanted


def _with_lists(actor: Actor, made: Plan) -> AssetValues:
    values = made.values
    for called, name in made.wanted.items():
        kind = LISTS[called][1]
        row = named_lists.find(kind, named_lists.create(kind, actor, name))
        values = replace(values, **{f"{called}_id": row.id})
    return values


def _person(
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


def _refuse_not_free(asset: Asset, held: Assignment | None) -> None:
    holder = held.staff.name if held else None
    words = why_not(Action.ALLOCATE, asset.status, asset.kind, holder=holder)
    if words:
        raise Refusal(f"{asset.asset_tag} {words.removesuffix('.')}")


def _refuse_reserved(current: Session, asset: Asset, staff: Staff) -> None:
    rival = reservation_rows.conflict(current, asset.id, utcnow(), None, for_staff_id=staff.id)
    if rival:
        raise Refusal(f"{rival.staff.name} has reserved it. Reject that reservation first")


def _quantity_remark(values: AssetValues, cells: Cells) -> str:
    """A quantity that is not taken over, and where it is changed instead."""
    text = cells.get("quantity")
    if values.kind == AssetKind.ITEM:
        if text in (None, "", "1"):
            return ""
        way_out = "to count it, add it with stock in the column kind."
        return f"One thing is kept, not {text[:40]}: {way_out}"
    if not text or text.lstrip("0") == str(values.quantity or ""):
        return ""
    return "The quantity is left as it is: receive, issue or adjust it on the asset's page."
