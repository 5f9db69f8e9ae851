"""Give, lend, take back and return: the verbs that say who has an asset."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from portal.engine.events import asset_details, assignment_details
from portal.engine.events.asset_details import UpdateReason
from portal.models.assets import Action, Asset, AssetStatus
from portal.models.assignments import Assignment, AssignmentKind
from portal.services.actions import assignment_rows, transition
from portal.services.actions.assignment_rows import active_staff, chosen_location, refuse_reserved
from portal.services.actions.limits import refuse_long, refuse_odd_year
from portal.services.actions.transition import Change, Moved
from portal.services.assets.event_facts import (
    allocation_facts,
    checkout_facts,
    return_facts,
    revocation_facts,
)
from portal.services.assets.snapshots import open_assignment
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing


def allocate(actor: Actor, asset_id: int, *, staff_id: int | None, note: str = "") -> None:
    """Give the asset to a person, until it is taken back (asset.allocated)."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> Assignment:
        staff = active_staff(current, staff_id)
        refuse_reserved(current, actor, asset, None, staff, "staff_id")
        return assignment_rows.begin(current, asset, staff, AssignmentKind.ALLOCATION, note=note)

    def tell(moved: Moved) -> dict[str, Any]:
        return assignment_details.allocated(allocation_facts(moved.made))

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
    """Take back what was allocated (asset.revoked)."""
    refuse_long(note=note, reason=reason)

    def make(current: Session, asset: Asset) -> tuple[Asset, Assignment]:
        return asset, _take_back(current, asset, Action.REVOKE, condition_in, location_id)

    def tell(moved: Moved) -> dict[str, Any]:
        asset, ended = moved.made
        facts = revocation_facts(asset, ended, reason)
        return assignment_details.revoked(allocation_facts(ended), facts)

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
            sentence = f"{holding.staff.name} has it already. Choose somebody else"
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
        lent = assignment_rows.begin(current, asset, staff, kind, note=note, due_at=until)
        lent.purpose = purpose
        return lent

    def tell(moved: Moved) -> dict[str, Any]:
        return assignment_details.checked_out(checkout_facts(moved.made))

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
    """Receive what was lent (asset.checked_in)."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> tuple[Asset, Assignment]:
        return asset, _take_back(current, asset, Action.CHECK_IN, condition_in, location_id)

    def tell(moved: Moved) -> dict[str, Any]:
        asset, ended = moved.made
        return assignment_details.checked_in(checkout_facts(ended), return_facts(asset, ended))

    transition.perform(actor, asset_id, Change(Action.CHECK_IN, make, tell, note=note))


def change_due_date(
    actor: Actor, asset_id: int, *, due_at: datetime | None, note: str = ""
) -> bool:
    """Let a person keep it longer, or ask for it sooner (asset.updated); False if as before."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> Assignment:
        lent = _held(asset)
        until = _in_future(asset, due_at)
        refuse_reserved(current, actor, asset, until, lent.staff, "due_at")
        lent.due_at = until
        return lent

    def tell(moved: Moved) -> dict[str, Any]:
        lent = moved.made
        checkout = {"id": lent.id, "due_at": lent.due_at}
        reason = UpdateReason.DUE_DATE_CHANGED
        return asset_details.updated(reason, moved.before, moved.after, checkout=checkout)

    change = Change(Action.CHANGE_DUE_DATE, make, tell, note=note, may_change_nothing=True)
    return transition.perform(actor, asset_id, change)


def _take_back(
    current: Session, asset: Asset, action: Action, condition: str | None, location_id: int | None
) -> Assignment:
    location = chosen_location(current, location_id)
    ended = assignment_rows.end(asset, action, condition) or _held(asset)
    asset.location = location or asset.location
    asset.status = AssetStatus.AVAILABLE
    return ended


def _held(asset: Asset) -> Assignment:
    found = open_assignment(asset.id)
    if found is None:  # the status says that somebody has it, so somebody does
        raise RuntimeError(f"Asset {asset.id} is {asset.status}, but nobody has it")
    return found


def _in_future(asset: Asset, due_at: datetime | None) -> datetime:
    if due_at is None:
        raise Refusal("Enter when it is due back", field="due_at")
    if due_at <= asset.updated_at:
        raise Refusal("Choose a return time in the future", field="due_at")
    refuse_odd_year(due_at=due_at)
    return due_at
