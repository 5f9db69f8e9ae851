"""Run an action on an asset. Each has its own URL and body."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from portal.api import assets
from portal.api.assets import ASSET, Count
from portal.api.lists import WHOLE, Amount, Moment, RowId
from portal.api.operations import Call, Made, Operation
from portal.api.planning import SHOW_MAINTENANCE, SHOW_RESERVATION, NoteBody, entered
from portal.api.schemas import limited
from portal.models.assets import Action, Condition
from portal.models.planning import Maintenance, MaintenanceType, Reservation
from portal.services.actions import transition
from portal.services.actions.incidents import ClaimValues, DisposalValues, Method
from portal.services.actions.planning.rules import LONGEST_CYCLE, PlanValues, ReservationValues
from portal.services.actions.rules import longest
from portal.services.actions.verbs import VERBS
from portal.services.assets.fields import MOST_IN_STOCK
from portal.services.core.unit_of_work import session, writing

Days = Annotated[int, Field(json_schema_extra={"minimum": 1, "maximum": LONGEST_CYCLE}), WHOLE]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateBody(NoteBody):
    """`staff_id`: the person who gets the asset."""

    staff_id: RowId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReassignBody(AllocateBody):
    """An allocation to another person, with a reason."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutBody(AllocateBody):
    """A check-out to a person until a time."""

    due_at: Moment
    purpose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDateBody(NoteBody):
    """The new due date."""

    due_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckInBody(NoteBody):
    """Omitted `condition_in` and `location_id` stay unchanged. With `needs_repair`, the asset is
    also reported as broken, with the `description`."""

    condition_in: Condition | None = None
    location_id: RowId | None = None
    needs_repair: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeBody(CheckInBody):
    """The fields of a check-in, and a reason."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveBody(NoteBody):
    """The asset’s new location."""

    location_id: RowId
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenBody(NoteBody):
    """A description of the damage. Without `broken_at`, it happened now."""

    description: str
    broken_at: Moment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostBody(NoteBody):
    """A description of the loss. Without `lost_at`, it happened now."""

    description: str
    lost_at: Moment | None = None


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantyBody(ClaimValues):
    """A warranty claim. Without a `supplier`, it’s the asset’s own."""


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class DisposalBody(DisposalValues):
    """A disposal. `proceeds` are in the portal’s currency."""

    method: Method
    proceeds: Amount | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBody(NoteBody):
    """Omitted `condition` and `location_id` stay unchanged."""

    condition: Condition | None = None
    location_id: RowId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairedBody(FoundBody):
    """A repair by a `supplier` at a `cost`."""

    condition: Condition | None = Condition.GOOD  # the form’s default, too
    supplier: str = ""
    cost: Amount | None = None


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveBody(ReservationValues):
    """A reservation for a person. It ends just before `ends_at`."""

    staff_id: RowId
    starts_at: Moment
    ends_at: Moment


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleBody(PlanValues):
    """Planned maintenance by a member of staff, which can repeat after each completion."""

    type: MaintenanceType = MaintenanceType.PREVENTIVE
    due_on: date
    repeat_every_days: Days | None = None
    assignee_id: RowId | None = None
    estimated_cost: Amount | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantityBody(NoteBody):
    """The quantity issued or received."""

    quantity: Annotated[
        int, Field(json_schema_extra={"minimum": 1, "maximum": MOST_IN_STOCK}), WHOLE
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountBody(NoteBody):
    """The counted quantity. `is_loss`: the difference was lost or damaged."""

    quantity: Count
    is_loss: bool = False


def _acting(action: Action) -> Callable[..., Made]:
    """Return the function that applies this action to an asset of the version asked for."""
    verb = VERBS[action]

    def run(call: Call, asset_id: int) -> Made:
        with writing() as current:
            if call.version is not None:
                transition.locked_for(current, asset_id, action, call.version)
            made = verb.run(call.actor, asset_id, entered(call.body))
        return Made(_where(action, asset_id, made))

    return run


def _where(action: Action, asset_id: int, made: object) -> dict[str, object]:
    if not isinstance(made, UUID):
        return {"asset_id": asset_id}
    kind = Reservation if action is Action.RESERVE else Maintenance
    row_id = session().scalar(select(kind.id).where(kind.public_id == made))
    return {f"{kind.__name__.lower()}_id": row_id}


def _operation(
    action: Action,
    name: str,
    summary: str,
    body: type = NoteBody,
    shows: Operation = assets.SHOW,
) -> Operation:
    verb = VERBS[action]
    return Operation(
        name=name,
        method="POST",
        path=f"{ASSET}/actions/{verb.slug}",
        summary=summary,
        permission=verb.permission,
        run=_acting(action),
        shows=shows,
        body=body,
        status=200 if shows is assets.SHOW else 201,
        problems=(404, 409, 412),
    )


OPERATIONS: Final = (
    _operation(
        Action.CHECK_OUT,
        "checkOutAsset",
        "Check out an asset to a person until a time",
        CheckOutBody,
    ),
    _operation(Action.CHECK_IN, "checkInAsset", "Check in an asset", CheckInBody),
    _operation(
        Action.CHANGE_DUE_DATE, "changeDueDate", "Change when a check-out is due", DueDateBody
    ),
    _operation(
        Action.ALLOCATE,
        "allocateAsset",
        "Allocate an asset to a person, without a due date",
        AllocateBody,
    ),
    _operation(Action.REVOKE, "revokeAsset", "Revoke an allocation", RevokeBody),
    _operation(
        Action.REASSIGN, "reassignAsset", "Move an allocation to another person", ReassignBody
    ),
    _operation(Action.TRANSFER, "moveAsset", "Move an asset to another location", MoveBody),
    _operation(
        Action.REPORT_BROKEN,
        "reportBroken",
        "Report an asset as broken. This ends its check-out or allocation",
        BrokenBody,
    ),
    _operation(Action.REPAIR, "markAsRepaired", "Mark an asset as repaired", RepairedBody),
    _operation(
        Action.REPORT_LOST,
        "reportLost",
        "Report an asset as lost. This ends its check-out or allocation",
        LostBody,
    ),
    _operation(Action.FIND, "markAsFound", "Mark an asset as found", FoundBody),
    _operation(
        Action.SEND_TO_WARRANTY,
        "sendToWarranty",
        "Send an asset for warranty repair. This ends its check-out or allocation",
        WarrantyBody,
    ),
    _operation(
        Action.RECEIVE_BACK,
        "receiveBack",
        "Receive an asset back from warranty repair",
        RepairedBody,
    ),
    _operation(Action.LIQUIDATE, "disposeOfAsset", "Dispose of an asset", DisposalBody),
    _operation(Action.UNDO_LIQUIDATION, "undoDisposal", "Undo the disposal of an asset"),
    _operation(Action.RESTORE, "restoreAsset", "Restore a deleted asset"),
    _operation(Action.ISSUE_STOCK, "issueStock", "Issue a quantity of a consumable", QuantityBody),
    _operation(
        Action.RECEIVE_STOCK, "receiveStock", "Receive a quantity of a consumable", QuantityBody
    ),
    _operation(
        Action.ADJUST_STOCK,
        "adjustStock",
        "Set a consumable’s quantity to the counted number",
        CountBody,
    ),
    _operation(
        Action.RESERVE,
        "reserveAsset",
        "Request a reservation. Someone has to approve it",
        ReserveBody,
        SHOW_RESERVATION,
    ),
    _operation(
        Action.SCHEDULE_MAINTENANCE,
        "scheduleMaintenance",
        "Schedule maintenance of an asset",
        ScheduleBody,
        SHOW_MAINTENANCE,
    ),
)
