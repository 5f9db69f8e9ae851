"""One row of an import: what would become of it, and making it so. Inside `writing()`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy.orm import Session

from portal.models.assets import Asset, AssetKind, AssetStatus
from portal.models.assignments import Staff
from portal.services.actions import assignments, lifecycle
from portal.services.assets import named_lists
from portal.services.assets.rules import AssetValues, faults
from portal.services.assets.tag_numbers import next_tag
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.csv import import_lookups as lookups
from portal.services.csv.import_changes import Changes, changes_of, handover
from portal.services.csv.import_notes import left_out
from portal.services.csv.import_values import CellError, Cells, filled, kind_of, quantity_of


class Verdict(StrEnum):
    """What would become of a row, and what became of it."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    ERROR = "error"
    CREATED = "created"
    UPDATED = "updated"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Ticks:
    """What the person allowed: new categories and locations, changes of assets that exist."""

    may_add: bool
    change_existing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """What the check shows of a row, and the asset that it was shown of.

    `adds`: categories and locations that are to be added first. `changes`: {field: {from, to}}.
    """

    verdict: str
    asset_id: int | None = None
    version: int | None = None
    adds: Mapping[str, str]
    changes: Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a row comes to: what is shown of it, and what it takes to do that.

    `left_out`: the cells that are not taken over.
    """

    shown: ShownRow
    values: AssetValues
    staff_id: int | None = None
    left_out: Cells = field(default_factory=dict)


# As they follow "It is".
KINDS: Final[Mapping[str, str]] = {AssetKind.ITEM: "a single item", AssetKind.STOCK: "stock"}
AGAIN: Final = "Check the file again"


def plan(current: Session, cells: Cells, ticks: Ticks) -> Plan:
    """What the row would do to the register as it is now. Raises `Refusal` with what is wrong."""
    asset = lookups.existing(current, cells)
    if asset is None or ticks.change_existing:
        return _plan(current, asset, cells, ticks)
    try:
        made = _plan(current, asset, cells, ticks)
    except Refusal:  # nothing is done with it, so nothing needs to be right
        made = _no_plan(asset)
    if made.shown.verdict == Verdict.UNCHANGED:
        return made
    shown = replace(made.shown, verdict=Verdict.SKIPPED, adds={})
    return replace(made, shown=shown, left_out={})


def plan_as_shown(current: Session, cells: Cells, ticks: Ticks, shown: ShownRow) -> Plan:
    """The same plan again, its asset locked. Refuses whatever the check has not shown."""
    asset = lookups.existing(current, cells, locked=True)
    if asset is not None and shown.asset_id is None:
        raise Refusal(f"An asset with this tag was added after the check. {AGAIN}")
    if asset is None and shown.asset_id is not None:
        raise Refusal(f"The asset was deleted or got another tag after the check. {AGAIN}")
    if asset is not None and (asset.id, asset.version) != (shown.asset_id, shown.version):
        raise Refusal(f"The asset was changed after the check. {AGAIN}")
    made = _plan(current, asset, cells, ticks)
    if not _is_as_shown(made.shown, shown):
        raise Refusal(f"The register was changed after the check. {AGAIN}")
    return made


def carry_out(current: Session, actor: Actor, made: Plan, besides: Collection[str]) -> int:
    """Do what was planned, in the caller's transaction; the asset's id.

    `besides`: tags of other rows of the file, which a row without a tag does not get.
    """
    values = _with_lists(actor, made)
    asset_id, version = made.shown.asset_id, made.shown.version
    if asset_id is None:
        values = replace(values, asset_tag=values.asset_tag or next_tag(current, besides))
        asset_id = lifecycle.create_asset(actor, values)
    elif version is not None:
        lifecycle.edit_asset(actor, asset_id, version, values)
    if made.staff_id is not None:
        assignments.allocate(actor, asset_id, staff_id=made.staff_id)
    return asset_id


def _plan(current: Session, asset: Asset | None, cells: Cells, ticks: Ticks) -> Plan:
    lookups.refuse_nameless(asset, cells)
    try:
        values = filled(_base(asset, cells), cells)
    except CellError as error:
        raise Refusal(str(error)) from None
    if values.kind == AssetKind.ITEM:  # what would not be kept is no change
        values = replace(values, min_quantity=None, unit=None)
    values, adds = lookups.placed(current, values, cells, may_add=ticks.may_add)
    found = faults(values)
    if found:
        raise Refusal(found[0].sentence)
    staff = lookups.person(current, asset, values, cells)
    if asset:
        _refuse_disposed(asset, values, adds)
    lookups.refuse_taken_by_another(current, values, asset)
    return Plan(
        shown=_shown(current, asset, values, adds, staff),
        values=values,
        staff_id=staff.id if staff else None,
        left_out=left_out(lifecycle.values_of(asset) if asset else values, cells),
    )


def _shown(
    current: Session,
    asset: Asset | None,
    values: AssetValues,
    adds: Mapping[str, str],
    staff: Staff | None,
) -> ShownRow:
    if asset is None:
        return ShownRow(verdict=Verdict.CREATE, adds=adds, changes=handover(staff))
    changes = changes_of(current, asset, values, adds, staff)
    return ShownRow(
        verdict=Verdict.UPDATE if changes else Verdict.UNCHANGED,
        asset_id=asset.id,
        version=asset.version,
        adds=adds,
        changes=changes,
    )


def _no_plan(asset: Asset) -> Plan:
    shown = ShownRow(
        verdict=Verdict.SKIPPED, asset_id=asset.id, version=asset.version, adds={}, changes={}
    )
    return Plan(shown=shown, values=lifecycle.values_of(asset))


def _is_as_shown(now: ShownRow, then: ShownRow) -> bool:
    """Ids may differ: a name that was to be added is there once another row has added it."""
    is_same = now.verdict == then.verdict and now.adds.keys() <= then.adds.keys()
    return is_same and _names(now.changes) == _names(then.changes)


def _names(changes: Changes) -> dict[str, list[Any]]:
    """The changes without ids; names in small letters, since that is how they are found."""
    return {
        name: [
            side.get("name", "").lower() if isinstance(side, Mapping) else side
            for side in (change["from"], change["to"])
        ]
        for name, change in changes.items()
    }


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


def _refuse_disposed(asset: Asset, values: AssetValues, adds: Mapping[str, str]) -> None:
    is_more_than_notes = adds or values != replace(lifecycle.values_of(asset), notes=values.notes)
    if asset.status == AssetStatus.LIQUIDATED and is_more_than_notes:
        raise Refusal("It is disposed of. Only its notes can be changed")


def _with_lists(actor: Actor, made: Plan) -> AssetValues:
    values = made.values
    for called, name in made.shown.adds.items():
        kind = lookups.LISTS[called][1]
        row = named_lists.find(kind, named_lists.create(kind, actor, name))
        values = replace(values, **{f"{called}_id": row.id})
    return values
