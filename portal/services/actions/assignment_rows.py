"""Beginning and ending a holding, for the verbs that do: inside `writing()`, the asset locked."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from portal.engine.events.assignment_details import ClosedAssignment, StaffRef
from portal.models.assets import Action, Asset, AssetStatus, Condition, Location
from portal.models.assignments import Assignment, AssignmentKind, Staff
from portal.services.actions import reservation_rows
from portal.services.assets.event_facts import staff_ref
from portal.services.assets.snapshots import open_assignment
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import moment_words, zone_of


@dataclass(frozen=True, slots=True)
class Ended:
    """What a closing event tells of the holding that it ended; nothing where nobody had it."""

    previous_holder: StaffRef | None = None
    closed_assignment: ClosedAssignment | None = None


def active_staff(current: Session, staff_id: int | None, *, field: str = "staff_id") -> Staff:
    """The person who is to have the asset, kept from leaving until this transaction ends."""
    if staff_id is None:
        raise Refusal("Choose who gets it", field=field)
    shared = {"read": True, "key_share": True}
    staff = current.get(Staff, staff_id, with_for_update=shared, populate_existing=True)
    if staff is None:
        raise Refusal("Choose a person from the list", field=field)
    if not staff.is_active:
        raise Refusal(f"{staff.name} has left. Choose somebody else", field=field)
    return staff


def chosen_location(current: Session, location_id: int | None) -> Location | None:
    """The location, kept from being deleted until this transaction ends."""
    if location_id is None:
        return None
    shared = {"read": True, "key_share": True}
    location = current.get(Location, location_id, with_for_update=shared)
    if location is None:
        sentence = "This location has been deleted. Choose another location"
        raise Refusal(sentence, field="location_id")
    return location


def refuse_reserved(
    current: Session,
    actor: Actor,
    asset: Asset,
    until: datetime | None,
    staff: Staff,
    field: str,
) -> None:
    """Refuse a holding from now on that would overlap somebody else's approved reservation.

    Times are told in the zone in which the actor types them.
    """
    now = asset.updated_at
    rival = reservation_rows.conflict(current, asset.id, now, until, for_staff_id=staff.id)
    if rival is None:
        return
    name, starts, zone = rival.staff.name, rival.starts_at, zone_of(current, actor)
    if starts <= now:
        ends = moment_words(rival.ends_at, zone)
        way_out = f"Wait until then, or reject the reservation of {name}"
        raise Refusal(f"{name} has reserved this until {ends}. {way_out}", field=field)
    way_out = "Choose a return time before that" if until else "Check it out until then instead"
    sentence = f"{name} has reserved this from {moment_words(starts, zone)}. {way_out}"
    raise Refusal(f"{sentence}, or reject the reservation of {name}", field=field)


def begin(
    current: Session,
    asset: Asset,
    staff: Staff,
    kind: AssignmentKind,
    *,
    note: str,
    due_at: datetime | None = None,
) -> Assignment:
    """The person has the asset from now on; their own reservation for this time is fulfilled."""
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
        reservation_id=reservation_rows.fulfil(current, asset.id, staff.id, now, until=due_at),
    )
    current.add(assignment)
    allocated = kind is AssignmentKind.ALLOCATION
    asset.status = AssetStatus.ALLOCATED if allocated else AssetStatus.CHECKED_OUT
    return assignment


def end(asset: Asset, action: Action, condition: str | None = None) -> Assignment | None:
    """Nobody has the asset any more; its new status is the caller's business."""
    assignment = open_assignment(asset.id)
    if assignment is None:
        return None
    if condition and condition not in set(Condition):
        raise Refusal("Choose a condition from the list", field="condition_in")
    assignment.ended_at, assignment.end_reason = asset.updated_at, action
    asset.condition = assignment.condition_in = condition or asset.condition
    return assignment


def end_by_the_way(asset: Asset, action: Action) -> Ended:
    """End the holding that may stand in the way of `action`, and say whose it was."""
    ended = end(asset, action)
    if ended is None:
        return Ended()
    return Ended(staff_ref(ended.staff), ClosedAssignment(ended.id, ended.kind))
