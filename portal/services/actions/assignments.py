"""Allocate, revoke, reassign, check out, and check in assets."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from portal.engine.events.details import ClosedAssignment, data_of
from portal.models.assets import Action, Asset, AssetStatus, Condition, Location
from portal.models.assignments import Assignment, AssignmentKind, Staff
from portal.services.actions import transition
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.rules import refuse_long, refuse_odd_year
from portal.services.actions.transition import Change, Moved
from portal.services.assets.named_lists import chosen_row
from portal.services.assets.snapshots import (
    allocation_facts,
    checkout_facts,
    open_assignment,
    return_facts,
    revocation_facts,
    staff_ref,
)
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import moment_words, zone_of
from portal.services.core.unit_of_work import writing


def allocate(actor: Actor, asset_id: int, *, staff_id: int | None, note: str = "") -> None:
    """Allocate the asset to a person until it is revoked (asset.allocated)."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> Assignment:
        staff = active_staff(current, staff_id)
        refuse_reserved(current, actor, asset, None, staff, "staff_id")
        return begin(current, asset, staff, AssignmentKind.ALLOCATION, note=note)

    def tell(moved: Moved) -> dict[str, Any]:
        return data_of(allocation_facts(moved.made))

    transition.perform(actor, asset_id, Change(Action.ALLOCATE, make, tell, note=note))


def revoke(
    actor: Actor,
    asset_id: int,
    *,
    condition_in: str | None = None,
    location_id: int | None = None,
    reason: str = "",
    note: str = "",
) -> None:
    """End an allocation (asset.revoked)."""
    refuse_long(note=note, reason=reason)

    def make(current: Session, asset: Asset) -> tuple[Asset, Assignment]:
        return asset, _end(current, asset, Action.REVOKE, condition_in, location_id)

    def tell(moved: Moved) -> dict[str, Any]:
        asset, ended = moved.made
        return data_of(allocation_facts(ended), revocation_facts(asset, ended, reason))

    change = Change(Action.REVOKE, make, tell, note=note, remark=reason)
    transition.perform(actor, asset_id, change)


def reassign(
    actor: Actor, asset_id: int, *, staff_id: int | None, reason: str = "", note: str = ""
) -> None:
    """Pass an allocated asset on to another person (asset.revoked, then asset.allocated)."""
    with writing() as current:
        transition.locked_for(current, asset_id, Action.REASSIGN)
        holding = open_assignment(asset_id)
        if holding and holding.staff_id == staff_id:
            sentence = f"Choose someone else. {holding.staff.name} already has this asset"
            raise Refusal(sentence, field="staff_id")
        revoke(actor, asset_id, reason=reason, note=note)
        allocate(actor, asset_id, staff_id=staff_id, note=note)


def check_out(
    actor: Actor,
    asset_id: int,
    *,
    staff_id: int | None,
    due_at: datetime | None,
    purpose: str = "",
    note: str = "",
) -> None:
    """Lend the asset to a person until `due_at` (asset.checked_out)."""
    refuse_long(note=note, purpose=purpose)

    def make(current: Session, asset: Asset) -> Assignment:
        staff = active_staff(current, staff_id)
        until = _in_future(asset, due_at)
        refuse_reserved(current, actor, asset, until, staff, "due_at")
        kind = AssignmentKind.CHECKOUT
        checkout = begin(current, asset, staff, kind, note=note, due_at=until)
        checkout.purpose = purpose
        return checkout

    def tell(moved: Moved) -> dict[str, Any]:
        return data_of(checkout_facts(moved.made))

    change = Change(Action.CHECK_OUT, make, tell, note=note, remark=purpose)
    transition.perform(actor, asset_id, change)


def check_in(
    actor: Actor,
    asset_id: int,
    *,
    condition_in: str | None = None,
    location_id: int | None = None,
    note: str = "",
) -> None:
    """End a checkout (asset.checked_in)."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> tuple[Asset, Assignment]:
        return asset, _end(current, asset, Action.CHECK_IN, condition_in, location_id)

    def tell(moved: Moved) -> dict[str, Any]:
        asset, ended = moved.made
        return data_of(checkout_facts(ended), return_facts(asset, ended))

    transition.perform(actor, asset_id, Change(Action.CHECK_IN, make, tell, note=note))


def change_due_date(
    actor: Actor, asset_id: int, *, due_at: datetime | None, note: str = ""
) -> bool:
    """Change a checkout's due time (asset.updated). Return False if it is unchanged."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> Assignment:
        checkout = _holding(asset)
        until = _in_future(asset, due_at)
        refuse_reserved(current, actor, asset, until, checkout.staff, "due_at")
        checkout.due_at = until
        return checkout

    def tell(moved: Moved) -> dict[str, Any]:
        return {"checkout": {"id": moved.made.id, "due_at": moved.made.due_at}}

    change = Change(Action.CHANGE_DUE_DATE, make, tell, note=note, may_change_nothing=True)
    return transition.perform(actor, asset_id, change)


def _end(
    current: Session, asset: Asset, action: Action, condition: str | None, location_id: int | None
) -> Assignment:
    location = chosen_row(current, Location, location_id)
    ended = end(asset, action, condition) or _holding(asset)
    asset.location = location or asset.location
    asset.status = AssetStatus.AVAILABLE
    return ended


def _holding(asset: Asset) -> Assignment:
    holding = open_assignment(asset.id)
    if holding is None:  # the status promises an open assignment
        raise RuntimeError(f"Asset {asset.id} is {asset.status}, but nobody has it")
    return holding


def _in_future(asset: Asset, due_at: datetime | None) -> datetime:
    if due_at is None:
        raise Refusal("Enter a due date", field="due_at")
    if due_at <= asset.updated_at:
        raise Refusal("Choose a due date in the future", field="due_at")
    refuse_odd_year(due_at=due_at)
    return due_at


def active_staff(current: Session, staff_id: int | None, *, field: str = "staff_id") -> Staff:
    """Return the active person, locked so that they stay active until this transaction ends."""
    if staff_id is None:
        raise Refusal("Choose a person", field=field)
    shared = {"read": True, "key_share": True}
    staff = current.get(Staff, staff_id, with_for_update=shared, populate_existing=True)
    if staff is None:
        raise Refusal("Choose a person from the list", field=field)
    if not staff.is_active:
        raise Refusal(f"Choose someone else. {staff.name} is former staff", field=field)
    return staff


def refuse_reserved(
    current: Session,
    actor: Actor,
    asset: Asset,
    until: datetime | None,
    staff: Staff,
    field: str,
) -> None:
    """Refuse an assignment from now on that overlaps someone else's approved reservation.

    The message gives times in the actor's time zone.
    """
    now = asset.updated_at
    rival = planning_queries.conflict(current, asset.id, now, until, for_staff_id=staff.id)
    if rival is None:
        return
    name, starts, zone = rival.staff.name, rival.starts_at, zone_of(current, actor)
    if starts <= now:
        ends = moment_words(rival.ends_at, zone)
        way_out = f"Wait until then or reject {name}’s reservation"
        raise Refusal(f"{name} has reserved this asset until {ends}. {way_out}", field=field)
    way_out = "Choose a due date before that" if until else "Check it out until then instead"
    sentence = f"{name} has reserved this asset from {moment_words(starts, zone)}. {way_out}"
    raise Refusal(f"{sentence} or reject {name}’s reservation", field=field)


def begin(
    current: Session,
    asset: Asset,
    staff: Staff,
    kind: AssignmentKind,
    *,
    note: str,
    due_at: datetime | None = None,
) -> Assignment:
    """Assign the asset to the person from now on and fulfill their reservation for this time."""
    now, at = asset.updated_at, asset.location
    assignment = Assignment(
        asset_id=asset.id,
        staff=staff,
        kind=kind,
        started_at=now,
        due_at=due_at,
        location={"id": at.id, "name": at.name} if at else None,
        condition_out=asset.condition,
        notes=note,
        reservation_id=planning_queries.fulfil(current, asset.id, staff.id, now, until=due_at),
    )
    current.add(assignment)
    allocated = kind is AssignmentKind.ALLOCATION
    asset.status = AssetStatus.ALLOCATED if allocated else AssetStatus.CHECKED_OUT
    return assignment


def end(asset: Asset, action: Action, condition: str | None = None) -> Assignment | None:
    """End the open assignment, if any. The caller sets the asset's new status."""
    assignment = open_assignment(asset.id)
    if assignment is None:
        return None
    if condition and condition not in set(Condition):
        raise Refusal("Choose a condition from the list", field="condition_in")
    assignment.ended_at, assignment.end_reason = asset.updated_at, action
    asset.condition = assignment.condition_in = condition or asset.condition
    return assignment


def end_if_held(asset: Asset, action: Action) -> dict[str, Any]:
    """End the open assignment, if any, and return its facts for the closing event."""
    ended = end(asset, action)
    return {
        "previous_holder": staff_ref(ended.staff) if ended else None,
        "closed_assignment": ClosedAssignment(ended.id, ended.kind) if ended else None,
    }
