"""Map every action on assets to its name in URLs and the function that performs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from portal.models.assets import Action
from portal.models.planning import Maintenance, Reservation
from portal.services.actions import assignments, incidents, stock
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.actions.planning import maintenance, reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.actions.rules import RULES
from portal.services.core.permissions import Actor


@dataclass(frozen=True, slots=True)
class Verb:
    """An action and the function that performs it.

    `call` takes the actor, then the asset's id or, if there is a `subject`, the public id of that
    row. The entered values follow as keyword arguments or as one `values` object.
    """

    action: Action
    call: Callable[..., object]
    values: type | None = None
    subject: type[Reservation] | type[Maintenance] | None = None
    name: str = ""

    @property
    def slug(self) -> str:
        """Return the action's name in URLs."""
        return self.name or self.action.replace("_", "-")

    @property
    def permission(self) -> str:
        return RULES[self.action].permission

    def run(self, actor: Actor, target: int | UUID, entered: Mapping[str, Any]) -> object:
        """Perform the action with the entered values. Return False if nothing changed."""
        if self.values:
            return self.call(actor, target, self.values(**entered))
        return self.call(actor, target, **entered)


_ALL: Final = (
    Verb(Action.CHECK_OUT, assignments.check_out),
    Verb(Action.ALLOCATE, assignments.allocate),
    *(Verb(action, partial(incidents.take_back, action=action)) for action in incidents.RETURNS),
    Verb(Action.CHANGE_DUE_DATE, assignments.change_due_date),
    Verb(Action.REASSIGN, assignments.reassign),
    *(Verb(action, partial(incidents.come_back, action=action)) for action in incidents.WAYS_BACK),
    Verb(Action.UNDO_LIQUIDATION, incidents.undo_liquidation),
    Verb(Action.RESTORE, incidents.restore),
    Verb(Action.TRANSFER, incidents.transfer),
    Verb(Action.REPORT_BROKEN, incidents.report_broken),
    Verb(Action.REPORT_LOST, incidents.report_lost),
    Verb(Action.SEND_TO_WARRANTY, incidents.send_to_warranty, ClaimValues),
    Verb(Action.LIQUIDATE, incidents.liquidate, DisposalValues),
    Verb(Action.RESERVE, reservations.reserve, ReservationValues),
    Verb(Action.APPROVE_RESERVATION, reservations.approve, subject=Reservation),
    Verb(Action.REJECT_RESERVATION, reservations.reject, subject=Reservation),
    Verb(Action.CANCEL_RESERVATION, reservations.cancel, subject=Reservation),
    Verb(Action.SCHEDULE_MAINTENANCE, maintenance.schedule, PlanValues),
    Verb(Action.START_MAINTENANCE, maintenance.start, subject=Maintenance),
    Verb(Action.COMPLETE_MAINTENANCE, maintenance.complete, WorkValues, Maintenance),
    Verb(Action.CANCEL_MAINTENANCE, maintenance.cancel, subject=Maintenance),
    Verb(Action.ISSUE_STOCK, stock.issue, name="issue"),
    Verb(Action.RECEIVE_STOCK, stock.receive, name="receive"),
    Verb(Action.ADJUST_STOCK, stock.adjust, name="adjust"),
)
VERBS: Final[Mapping[Action, Verb]] = {verb.action: verb for verb in _ALL}
