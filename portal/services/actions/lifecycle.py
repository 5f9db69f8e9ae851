"""Create, edit, and delete assets. Each change publishes its event."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.orm import Session

from portal.engine.events import details
from portal.lib.clock import common_now
from portal.models.assets import Action, Asset, AssetKind, AssetStatus, Category, Location
from portal.services.actions import stock, transition
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.rules import refuse_long
from portal.services.actions.transition import Change
from portal.services.assets.fields import ASSET_FIELDS, AssetValues, FieldType, faults
from portal.services.assets.named_lists import chosen_row
from portal.services.assets.tag_numbers import next_tag, refuse_taken
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal, refuse_all
from portal.services.core.unit_of_work import keep_unique, session, writing

# Edits handle these separately. The tag is checked, the kind is fixed, and stock moves change it.
APART: Final = frozenset({"asset_tag", "kind", "quantity"})
# Follows the tag of a disposed asset.
NOTES_ONLY: Final = "was disposed of. You can only change its notes."


def find_asset(asset_id: int) -> Asset:
    """Return the asset, even if deleted, because its timeline and deliveries stay."""
    asset = session().get(Asset, asset_id)
    if asset is None:
        raise NotFound("There’s no asset at this URL.")
    return asset


def create_asset(actor: Actor, values: AssetValues) -> int:
    """Add an item or a kind of stock to the register (asset.created) and return its id."""
    with writing() as current:
        require(current, actor, "assets.edit")
        refuse_all(faults(values))
        asset = _store_new(current, values)
        if asset.kind == AssetKind.STOCK:
            stock.begin(current, actor, asset, values.quantity or 0)
        change = Change(
            action=Action.CREATE,
            make=lambda *_: None,
            tell=lambda moved: details.created(moved.asset),
        )
        transition.begin(current, actor, asset, change)
        return asset.id


def edit_asset(actor: Actor, asset_id: int, version: int, values: AssetValues) -> bool:
    """Replace an asset's values (asset.updated). Return False if nothing changed."""
    refuse_all(faults(values))
    if not values.asset_tag:
        raise Refusal("Enter the asset tag", field="asset_tag")
    change = Change(
        action=Action.EDIT,
        make=lambda current, asset: _edit(current, asset, values),
        version=version,
        may_change_nothing=True,
    )
    return transition.perform(actor, asset_id, change)


def edit_fields(
    actor: Actor, asset_id: int, fields: Mapping[str, Any], version: int | None = None
) -> bool:
    """Change some fields of an asset, named as in `AssetValues` (asset.updated).

    Other fields keep their current values. Returns False if nothing changed. `version` is the
    version that the caller read, or None to skip the check.
    """

    def make(current: Session, asset: Asset) -> None:
        if "reservable" in fields and asset.kind == AssetKind.STOCK:
            raise Refusal(
                f"{asset.asset_tag} is a consumable, so no one can reserve it. "
                "Edit it without a change of reservations."
            )
        values = replace(values_of(asset), **fields)
        refuse_all(faults(values))
        _edit(current, asset, values)

    change = Change(action=Action.EDIT, make=make, version=version, may_change_nothing=True)
    return transition.perform(actor, asset_id, change)


def replace_value(
    actor: Actor, asset_id: int, column: str, change: tuple[object, object], remark: str
) -> bool:
    """Replace one value of a column by another (asset.updated), even on disposed assets.

    `change` is (before, after). Returns False if the column no longer holds the first value.
    """
    before, after = change

    def make(current: Session, asset: Asset) -> None:
        if getattr(asset, column) == before:
            setattr(asset, column, after)
            current.flush()
            current.refresh(asset, ["category", "location"])

    edit = Change(action=Action.EDIT, make=make, remark=remark, may_change_nothing=True)
    return transition.perform(actor, asset_id, edit)


def refuse_unfit(current: Session, fields: Mapping[str, Any]) -> None:
    """Refuse values that no asset can take, before a bulk edit starts."""
    if not fields:
        raise Refusal("Change at least 1 field")
    refuse_all(faults(AssetValues(name="—", **fields)))
    chosen_row(current, Category, fields.get("category_id"))
    chosen_row(current, Location, fields.get("location_id"))


def delete_asset(actor: Actor, asset_id: int, reason: str = "", version: int | None = None) -> None:
    """Delete an asset from the register (asset.deleted). Its row stays and can be restored."""
    refuse_long(reason=reason)
    change = Change(
        action=Action.DELETE,
        make=_mark_deleted,
        tell=lambda moved: details.deleted(moved.asset, reason),
        version=version,
        remark=reason,
    )
    transition.perform(actor, asset_id, change)


def _mark_deleted(current: Session, asset: Asset) -> None:
    if planning_queries.has_open(current, asset.id):
        blocker = "is still reserved. Reject or cancel the reservation first."
        raise Refusal(f"{asset.asset_tag} {blocker}")
    if planning_queries.in_progress(current, asset.id):
        raise Refusal(f"{asset.asset_tag} is in maintenance. Complete the maintenance first.")
    planning_queries.cancel_open_maintenance(current, asset.id)
    asset.deleted_at = asset.updated_at


def _store_new(current: Session, values: AssetValues) -> Asset:
    now = common_now()

    def store() -> Asset:
        asset = Asset(
            asset_tag=values.asset_tag or next_tag(current),
            kind=values.kind,
            status=AssetStatus.AVAILABLE,
            created_at=now,
            updated_at=now,
        )
        _fill(current, asset, values)
        current.add(asset)
        current.flush()
        return asset

    return keep_unique(current, _look(current, values, None), store)


def _edit(current: Session, asset: Asset, values: AssetValues) -> None:
    if asset.status == AssetStatus.LIQUIDATED:
        _refuse_more_than_notes(asset, values)

    def store() -> None:
        asset.asset_tag = values.asset_tag
        _fill(current, asset, values)
        current.flush()

    keep_unique(current, _look(current, values, asset.id), store)


def _look(current: Session, values: AssetValues, own_id: int | None) -> Callable[[], None]:
    return lambda: refuse_taken(current, values.asset_tag, values.serial_number, own_id)


def _fill(current: Session, asset: Asset, values: AssetValues) -> None:
    for column in plain_columns(asset.kind):
        setattr(asset, column, getattr(values, column))
    asset.category = chosen_row(current, Category, values.category_id)
    asset.location = chosen_row(current, Location, values.location_id)


def _refuse_more_than_notes(asset: Asset, values: AssetValues) -> None:
    if values != replace(values_of(asset), notes=values.notes):
        raise Refusal(f"{asset.asset_tag} {NOTES_ONLY}")


def plain_columns(kind: str) -> list[str]:
    """Return the columns that an edit sets from the values of the same name."""
    return [
        field.name
        for field in ASSET_FIELDS
        if field.type is not FieldType.LISTED
        and field.name not in APART
        # Stock keeps `reservable` too, though its form does not ask for it.
        and (field.kind is not AssetKind.STOCK or kind == AssetKind.STOCK)
    ]


def values_of(asset: Asset) -> AssetValues:
    """Return the asset's current values, as its form shows them."""
    names = AssetValues.__dataclass_fields__
    return AssetValues(**{name: getattr(asset, name) for name in names})
