"""Define the action pages for reservations and maintenance."""

from typing import Any, Final
from uuid import UUID

from wtforms import RadioField, SelectField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired
from wtforms.widgets import DateInput

from portal.engine.events.words import MAINTENANCE_TYPES, OUTCOMES
from portal.lib.clock import utcnow
from portal.lib.typed_values import read_day
from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.models.planning import (
    OPEN_MAINTENANCES,
    OPEN_RESERVATIONS,
    Maintenance,
    MaintenanceOutcome,
    MaintenanceType,
    Reservation,
    ReservationState,
)
from portal.services.actions.planning.queries import find
from portal.services.actions.planning.rules import (
    PlanValues,
    ReservationValues,
    WorkValues,
    plan_faults,
    reservation_faults,
    work_faults,
)
from portal.services.assets import staff
from portal.services.core.refusals import Fault, Refusal
from portal.services.core.time_zones import today
from portal.web.actions.forms import (
    CONDITIONS,
    ActionForm,
    ActionPage,
    amount_field,
    in_currency,
    line_field,
    note_field,
    staff_field,
)
from portal.web.forms.parsing import MomentField, TypedField, row_id
from portal.web.frame.status_tags import MAINTENANCE, RESERVATION
from portal.web.frame.wording import day_of, money
from portal.web.planning.wording import (
    LABELS,
    cycle_in_words,
    span_in_words,
)

KINDS = [SelectChoice(str(value), words) for value, words in MAINTENANCE_TYPES.items()]
ENDS = [SelectChoice(str(value), words) for value, words in OUTCOMES.items()]


def read_days(text: str) -> int:
    """Parse a number of days, from 1 to 3650. Raises `ValueError`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 3650):
        raise ValueError("in digits, from 1 to 3,650")
    return int(text)


def _person(label: str) -> SelectField:
    return SelectField(label, coerce=row_id, validate_choice=False)


class RuledForm(ActionForm):
    """A form that reports every violation of the service's rules at once."""

    def faults(self) -> list[Fault]:
        raise NotImplementedError

    def validate(self, extra_validators: Any = None) -> bool:
        """Validate every field, then apply the rules to fields without an error."""
        read_well = bool(super().validate(extra_validators))
        wrong = {field.name for field in self if field.errors}
        faults = [fault for fault in self.faults() if fault.field not in wrong]
        for fault in faults:
            self.refuse(Refusal(fault.sentence, field=fault.field))
        return read_well and not faults


class ReserveForm(RuledForm):
    staff_id = staff_field()
    starts_at = MomentField(
        "From",
        called="start of the reservation",
        validators=[InputRequired("Enter the reservation’s start, such as 2026-05-03 09:00")],
    )
    ends_at = MomentField(
        "Until",
        called="end of the reservation",
        validators=[InputRequired("Enter the reservation’s end, such as 2026-05-03 18:00")],
    )
    purpose = line_field("purpose", "Purpose")

    def faults(self) -> list[Fault]:
        return reservation_faults(ReservationValues(**self.filled()), utcnow())


class ReservationForm(ActionForm):
    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """Check that the subject is a reservation of this asset. Raises `NotFound`."""
        find(Reservation, asset.id, subject)


class RejectForm(ReservationForm):
    rejection_reason = note_field("rejection_reason", "Reason", "Enter a reason for the requester")


class CancelReservationForm(ReservationForm):
    note = note_field("reason", "Reason")


class ScheduleForm(RuledForm):
    title = line_field("title", "Task", "Enter the task")
    type = SelectField(
        "Type of work",
        choices=KINDS,
        default=MaintenanceType.PREVENTIVE.value,
        validate_choice=False,
    )
    due_on = TypedField(
        "Due on",
        read=read_day,
        called="due date",
        widget=DateInput(),
        validators=[InputRequired("Enter the due date")],
    )
    repeat_every_days = TypedField(
        "Repeat every",
        read=read_days,
        called="number of days",
        description="Days after completion. Leave blank if it doesn’t repeat",
        render_kw={"inputmode": "numeric"},
    )
    assignee_id = _person("Assigned to")
    supplier = line_field("supplier", "Company")
    estimated_cost = amount_field("Estimated cost")
    note = note_field()

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        self.assignee_id.choices = people()
        self.estimated_cost.description = in_currency()

    def faults(self) -> list[Fault]:
        return plan_faults(PlanValues(**self.filled()))


class MaintenanceForm(ActionForm):
    note = note_field()

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """Check that the subject is maintenance of this asset. Raises `NotFound`."""
        find(Maintenance, asset.id, subject)


class StartForm(MaintenanceForm):
    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        return {"note": find(Maintenance, asset.id, subject).note}


class CallOffForm(MaintenanceForm):
    note = note_field("reason", "Reason")


class CompleteForm(RuledForm):
    outcome = RadioField(
        "Result",
        choices=ENDS,
        default=MaintenanceOutcome.OK.value,
        validate_choice=False,
    )
    condition = SelectField(
        "Condition",
        choices=CONDITIONS,
        validate_choice=False,
        description="Not changed if it couldn’t be repaired",
    )
    completed_on = TypedField(
        "Completed on",
        read=read_day,
        called="completion date",
        widget=DateInput(),
        validators=[InputRequired("Enter the completion date")],
    )
    supplier = line_field("supplier", "Company")
    cost = amount_field("Cost")
    performed_by_id = _person("Done by")
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        maintenance = find(Maintenance, asset.id, subject)
        is_damaged = asset.condition == Condition.DAMAGED
        is_repair = is_damaged or maintenance.type == MaintenanceType.CORRECTIVE
        outcome = MaintenanceOutcome.REPAIRED if is_repair else MaintenanceOutcome.OK
        return {
            "outcome": outcome.value,
            "completed_on": today(),
            "condition": Condition.GOOD.value if is_damaged else asset.condition,
            "supplier": maintenance.supplier,
            "cost": maintenance.estimated_cost,
            "performed_by_id": maintenance.assignee_id,
            "note": maintenance.note,
        }

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        self.performed_by_id.choices = people()
        self.cost.description = in_currency()

    def faults(self) -> list[Fault]:
        return work_faults(WorkValues(**self.filled()), today())


def people() -> list[SelectChoice]:
    """Return choices of all current staff, plus "Unassigned"."""
    unassigned = SelectChoice("", "Unassigned")
    return [unassigned, *(SelectChoice(str(person.id), person.label) for person in staff.choices())]


def _reservation(asset: Asset, subject: UUID | None) -> dict[str, Any]:
    """Return the facts to show. Raises `Refusal` if the reservation is closed."""
    reservation = find(Reservation, asset.id, subject)
    if reservation.state not in OPEN_RESERVATIONS:
        became = RESERVATION[reservation.state].word.lower()
        raise Refusal(f"This reservation is already closed ({became}).")
    facts = [
        ("Person", reservation.staff.name),
        ("Time", span_in_words(reservation.starts_at, reservation.ends_at)),
        ("Purpose", reservation.purpose),
        ("Status", RESERVATION[reservation.state].word),
    ]
    return {"concerned": facts}


def _to_approve(asset: Asset, subject: UUID | None) -> dict[str, Any]:
    shown = _reservation(asset, subject)
    if find(Reservation, asset.id, subject).state == ReservationState.APPROVED:
        raise Refusal("This reservation is already approved.")
    return shown


def _maintenance(asset: Asset, subject: UUID | None) -> dict[str, Any]:
    maintenance = find(Maintenance, asset.id, subject)
    if maintenance.state not in OPEN_MAINTENANCES:
        became = MAINTENANCE[maintenance.state].word.lower()
        raise Refusal(f"“{maintenance.title}” is already closed ({became}).")
    facts = [
        ("Task", maintenance.title),
        ("Type of work", MAINTENANCE_TYPES[maintenance.type]),
        ("Due on", day_of(maintenance.due_on)),
        ("Repeats", cycle_in_words(maintenance.repeat_every_days)),
        ("Assigned to", maintenance.assignee.name if maintenance.assignee else ""),
        ("Company", maintenance.supplier),
        ("Estimated cost", money(maintenance.estimated_cost)),
        ("Note", maintenance.note),
    ]
    return {"concerned": [(label, value) for label, value in facts if value]}


ABOUT: Final = "actions/planning_form.html"
RESERVATIONS_TAB: Final = "asset_parts.reservations"
MAINTENANCE_TAB: Final = "asset_parts.maintenance"

PAGES: Final = (
    ActionPage(
        action=Action.RESERVE,
        timeline="Reservation requested",
        label="Reserve",
        icon="calendar-plus",
        title="Reserve {name}",
        lede="Request it for a period. A manager or an administrator needs to approve it.",
        done="Requested a reservation of {tag}. It’s waiting for approval.",
        submit="Request reservation",
        form=ReserveForm,
        tab=RESERVATIONS_TAB,
    ),
    ActionPage(
        action=Action.SCHEDULE_MAINTENANCE,
        timeline="Maintenance scheduled",
        label="Schedule maintenance",
        icon="calendar-event",
        title="Schedule maintenance for {name}",
        lede="The asset stays in use until the work starts.",
        done="Scheduled maintenance for {tag}.",
        form=ScheduleForm,
        tab=MAINTENANCE_TAB,
        main=frozenset({AssetStatus.BROKEN}),
    ),
    ActionPage(
        action=Action.APPROVE_RESERVATION,
        timeline="Reservation approved",
        label=LABELS[Action.APPROVE_RESERVATION],
        icon="calendar-check",
        title="Approve {name}’s reservation?",
        done="Approved {tag}’s reservation.",
        submit="Approve reservation",
        form=ReservationForm,
        tab=RESERVATIONS_TAB,
        template=ABOUT,
        context=_to_approve,
    ),
    ActionPage(
        action=Action.REJECT_RESERVATION,
        timeline="Reservation rejected",
        label=LABELS[Action.REJECT_RESERVATION],
        icon="calendar-x",
        title="Reject {name}’s reservation",
        done="Rejected {tag}’s reservation.",
        submit="Reject reservation",
        kind="danger",
        form=RejectForm,
        tab=RESERVATIONS_TAB,
        template=ABOUT,
        context=_reservation,
    ),
    ActionPage(
        action=Action.CANCEL_RESERVATION,
        timeline="Reservation canceled",
        label=LABELS[Action.CANCEL_RESERVATION],
        icon="slash-circle",
        title="Cancel {name}’s reservation",
        lede="Cancel it if it’s no longer needed. To decline a request, reject it instead.",
        done="Canceled {tag}’s reservation.",
        submit="Cancel reservation",
        kind="danger",
        way_back="Keep reservation",
        form=CancelReservationForm,
        tab=RESERVATIONS_TAB,
        template=ABOUT,
        context=_reservation,
    ),
    ActionPage(
        action=Action.START_MAINTENANCE,
        timeline="Maintenance started",
        label=LABELS[Action.START_MAINTENANCE],
        icon="wrench",
        title="Start {name}’s maintenance",
        lede="It stays in maintenance until the work is completed or canceled.",
        done="Started {tag}’s maintenance.",
        submit="Start maintenance",
        form=StartForm,
        tab=MAINTENANCE_TAB,
        template=ABOUT,
        context=_maintenance,
    ),
    ActionPage(
        action=Action.COMPLETE_MAINTENANCE,
        timeline="Maintenance completed",
        label=LABELS[Action.COMPLETE_MAINTENANCE],
        icon="check-circle",
        title="Complete {name}’s maintenance",
        done="Completed {tag}’s maintenance.",
        submit="Complete maintenance",
        form=CompleteForm,
        tab=MAINTENANCE_TAB,
        template=ABOUT,
        context=_maintenance,
    ),
    ActionPage(
        action=Action.CANCEL_MAINTENANCE,
        timeline="Maintenance canceled",
        label=LABELS[Action.CANCEL_MAINTENANCE],
        icon="slash-circle",
        title="Cancel {name}’s maintenance",
        lede="If work has started, the asset returns to its previous status.",
        done="Canceled {tag}’s maintenance.",
        submit="Cancel maintenance",
        kind="danger",
        way_back="Keep maintenance",
        form=CallOffForm,
        tab=MAINTENANCE_TAB,
        template=ABOUT,
        context=_maintenance,
    ),
)
