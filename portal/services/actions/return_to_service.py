"""Bring an asset back into use: received back, repaired, found; undo a disposal; restore."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from portal.engine.events import details
from portal.engine.events.details import UpdateReason
from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.models.assignments import Incident, IncidentKind
from portal.services.actions import transition
from portal.services.actions.assignments import chosen_location
from portal.services.actions.planning_rows import TROUBLE, close_incidents
from portal.services.actions.rules import refuse_long
from portal.services.actions.transition import Change
from portal.services.assets.tag_numbers import refuse_taken
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import keep_unique


@dataclass(frozen=True, slots=True)
class Way:
    """One way of coming back: its reason, what it ends, and how receivers call that."""

    reason: UpdateReason
    ends: IncidentKind
    called: str


WAYS: Final[Mapping[Action, Way]] = {
    Action.RECEIVE_BACK: Way(UpdateReason.WARRANTY_RETURNED, IncidentKind.WARRANTY, "claim"),
    Action.REPAIR: Way(UpdateReason.REPAIRED, IncidentKind.BROKEN, "incident"),
    Action.FIND: Way(UpdateReason.FOUND, IncidentKind.LOST, "incident"),
}


def come_back(
    actor: Actor,
    asset_id: int,
    action: Action,
    *,
    condition: str | None = None,
    location_id: int | None = None,
    note: str = "",
) -> None:
    """The asset can be used again (asset.updated); `action` is one of `WAYS`."""
    refuse_long(note=note)
    way = WAYS[action]

    def make(current: Session, asset: Asset) -> Incident | None:
        if condition and condition not in set(Condition):
            raise Refusal("Choose a condition from the list", field="condition")
        asset.location = chosen_location(current, location_id) or asset.location
        asset.status = AssetStatus.AVAILABLE
        asset.condition = condition or asset.condition
        over = close_incidents(current, asset, *TROUBLE)
        return next((each for each in over if each.kind == way.ends), None)

    transition.perform(actor, asset_id, _told(action, way.reason, way.called, make, note))


def undo_liquidation(actor: Actor, asset_id: int, *, note: str = "") -> None:
    """It was disposed of by mistake: it is again what it was before (asset.updated)."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> Incident | None:
        over = close_incidents(current, asset, IncidentKind.LIQUIDATION)
        asset.status = over[0].status_from if over else AssetStatus.AVAILABLE
        return over[0] if over else None

    action, reason = Action.UNDO_LIQUIDATION, UpdateReason.LIQUIDATION_UNDONE
    transition.perform(actor, asset_id, _told(action, reason, "liquidation", make, note))


def restore(actor: Actor, asset_id: int, *, note: str = "") -> None:
    """Bring a deleted asset back into the register (asset.updated).

    Refused when its tag or serial number has gone to another asset meanwhile.
    """
    refuse_long(note=note)
    change = Change(
        Action.RESTORE,
        _restore,
        lambda moved: details.updated(UpdateReason.RESTORED, moved.before, moved.after),
        note=note,
    )
    transition.perform(actor, asset_id, change)


def _restore(current: Session, asset: Asset) -> None:
    tag, serial = asset.asset_tag, asset.serial_number

    def look() -> None:
        try:
            refuse_taken(current, tag, serial, asset.id)
        except Refusal as taken:
            way_out = "Change that one first, then restore this one."
            raise Refusal(f"{taken.sentence}. {way_out}") from None

    def store() -> None:
        asset.deleted_at = None
        current.flush()

    keep_unique(current, look, store)


def _told(
    action: Action, reason: UpdateReason, called: str, make: transition.Make, note: str
) -> Change:
    def tell(moved: transition.Moved) -> dict[str, object]:
        over = moved.made
        concerned = {"id": over.id, "closed_at": over.closed_at} if over else None
        return details.updated(reason, moved.before, moved.after, **{called: concerned})

    return Change(action, make, tell, note=note)
