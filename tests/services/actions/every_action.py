"""Call, form values and legal statuses of every action, and an asset in each status."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from portal.lib.clock import utcnow
from portal.models.assets import Action, AssetStatus
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning.rules import PlanValues
from portal.services.assets.fields import AssetValues
from portal.services.core.permissions import SYSTEM, Actor
from tests.support.factories import make_asset, make_location, make_staff

Act = Callable[[Actor, int], object]

DISPOSAL: Final = DisposalValues(method="scrapped")
CLAIM: Final = ClaimValues(problem="The screen is cracked")


def in_days(days: int) -> str:
    """Format a local date and time as a browser sends it."""
    return (utcnow() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")


def check_out(actor: Actor, asset_id: int) -> None:
    """Check out to a new person for three days."""
    due_at = utcnow() + timedelta(days=3)
    assignments.check_out(actor, asset_id, staff_id=make_staff(), due_at=due_at, purpose="Fair")


def change_due_date(actor: Actor, asset_id: int) -> None:
    """Move the due date to four days from now."""
    assignments.change_due_date(actor, asset_id, due_at=utcnow() + timedelta(days=4))


def start_maintenance(actor: Actor, asset_id: int) -> None:
    """Schedule maintenance and start it."""
    plan = PlanValues(title="Battery check", due_on=utcnow().date())
    planning_maintenance.start(actor, planning_maintenance.schedule(actor, asset_id, plan))


def edit(actor: Actor, asset_id: int) -> None:
    """Change the notes, which can change in every status."""
    asset = lifecycle.find_asset(asset_id)
    values = lifecycle.values_of(asset)
    changed = {name: getattr(values, name) for name in AssetValues.__dataclass_fields__}
    lifecycle.edit_asset(
        actor, asset_id, asset.version, AssetValues(**changed | {"notes": f"Note {asset.version}"})
    )


# Each action as one call on an asset.
ACTS: Final[Mapping[Action, Act]] = {
    Action.EDIT: edit,
    Action.DELETE: lambda actor, asset_id: lifecycle.delete_asset(actor, asset_id, "Entered twice"),
    Action.RESTORE: lambda actor, asset_id: incidents.restore(actor, asset_id),
    Action.ALLOCATE: lambda actor, asset_id: assignments.allocate(
        actor, asset_id, staff_id=make_staff()
    ),
    Action.REVOKE: lambda actor, asset_id: assignments.revoke(actor, asset_id, reason="New device"),
    Action.REASSIGN: lambda actor, asset_id: assignments.reassign(
        actor, asset_id, staff_id=make_staff()
    ),
    Action.CHECK_OUT: check_out,
    Action.CHECK_IN: lambda actor, asset_id: assignments.check_in(actor, asset_id),
    Action.CHANGE_DUE_DATE: change_due_date,
    Action.TRANSFER: lambda actor, asset_id: incidents.transfer(
        actor, asset_id, location_id=make_location(f"Place {utcnow().timestamp()}")
    ),
    Action.REPORT_LOST: lambda actor, asset_id: incidents.report_lost(
        actor, asset_id, description="Left on the train"
    ),
    Action.REPORT_BROKEN: lambda actor, asset_id: incidents.report_broken(
        actor, asset_id, description="It fell"
    ),
    Action.SEND_TO_WARRANTY: lambda actor, asset_id: incidents.send_to_warranty(
        actor, asset_id, CLAIM
    ),
    Action.LIQUIDATE: lambda actor, asset_id: incidents.liquidate(actor, asset_id, DISPOSAL),
    Action.START_MAINTENANCE: start_maintenance,
    Action.RECEIVE_BACK: lambda actor, asset_id: incidents.come_back(
        actor, asset_id, Action.RECEIVE_BACK
    ),
    Action.REPAIR: lambda actor, asset_id: incidents.come_back(actor, asset_id, Action.REPAIR),
    Action.FIND: lambda actor, asset_id: incidents.come_back(actor, asset_id, Action.FIND),
    Action.UNDO_LIQUIDATION: lambda actor, asset_id: incidents.undo_liquidation(actor, asset_id),
}

# Form values by action. A callable creates the row that a choice refers to.
FILLED: Final[Mapping[Action, dict[str, Any]]] = {
    Action.ALLOCATE: {"staff_id": make_staff},
    Action.REASSIGN: {"staff_id": make_staff},
    Action.REVOKE: {"reason": "New device"},
    Action.CHECK_OUT: {"staff_id": make_staff, "due": "other", "due_at": lambda: in_days(3)},
    Action.CHECK_IN: {"condition_in": "fair"},
    Action.CHANGE_DUE_DATE: {"due": "other", "due_at": lambda: in_days(9)},
    Action.TRANSFER: {"location_id": lambda: make_location("Store")},
    Action.REPORT_LOST: {"description": "On the train"},
    Action.REPORT_BROKEN: {"description": "It fell", "broken_at": lambda: in_days(-1)},
    Action.SEND_TO_WARRANTY: {"problem": "No picture", "expected_back_on": "2030-01-31"},
    Action.LIQUIDATE: {"method": "sold", "proceeds": "180,00"},
    Action.RECEIVE_BACK: {"condition": "good"},
    Action.REPAIR: {},
    Action.FIND: {},
    Action.UNDO_LIQUIDATION: {"note": "It was the other one"},
}

# Legal statuses by action, in this order:
# available, allocated, checked_out, maintenance, warranty, broken, lost, liquidated
LEGAL: Final[Mapping[Action, str]] = {
    Action.CREATE: "--------",
    Action.EDIT: "YYYYYYYY",
    Action.DELETE: "Y----YYY",
    Action.ALLOCATE: "Y-------",
    Action.REVOKE: "-Y------",
    Action.REASSIGN: "-Y------",
    Action.CHECK_OUT: "Y-------",
    Action.CHECK_IN: "--Y-----",
    Action.CHANGE_DUE_DATE: "--Y-----",
    Action.RESERVE: "Y-YY----",
    Action.APPROVE_RESERVATION: "Y-YY----",
    Action.REJECT_RESERVATION: "YYYYYY--",
    Action.CANCEL_RESERVATION: "YYYYYYYY",
    Action.EXPIRE_RESERVATION: "YYYYYYYY",
    Action.SCHEDULE_MAINTENANCE: "YYYY-Y--",
    Action.START_MAINTENANCE: "Y----Y--",
    Action.COMPLETE_MAINTENANCE: "YYYYYY--",
    Action.CANCEL_MAINTENANCE: "YYYYYYYY",
    Action.TRANSFER: "YY-Y-Y--",
    Action.REPORT_LOST: "YYYYYY--",
    Action.REPORT_BROKEN: "YYYY----",
    Action.SEND_TO_WARRANTY: "YYY--Y--",
    Action.LIQUIDATE: "Y----YY-",
    Action.RECEIVE_BACK: "----Y---",
    Action.REPAIR: "-----Y--",
    Action.FIND: "------Y-",
    Action.UNDO_LIQUIDATION: "-------Y",
}

# The action that brings a new asset into each status.
WAY_TO: Final[Mapping[AssetStatus, Action | None]] = {
    AssetStatus.AVAILABLE: None,
    AssetStatus.ALLOCATED: Action.ALLOCATE,
    AssetStatus.CHECKED_OUT: Action.CHECK_OUT,
    AssetStatus.MAINTENANCE: Action.START_MAINTENANCE,
    AssetStatus.WARRANTY: Action.SEND_TO_WARRANTY,
    AssetStatus.BROKEN: Action.REPORT_BROKEN,
    AssetStatus.LOST: Action.REPORT_LOST,
    AssetStatus.LIQUIDATED: Action.LIQUIDATE,
}


def act(action: Action, asset_id: int, actor: Actor = SYSTEM) -> None:
    """Take the action through its service."""
    ACTS[action](actor, asset_id)


def asset_in(status: AssetStatus) -> int:
    """Make an asset, bring it into this status through its action and return its id."""
    asset_id = make_asset()
    way = WAY_TO[status]
    if way:
        act(way, asset_id)
    return asset_id
