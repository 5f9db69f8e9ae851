"""The forms of reservations and maintenance; fields are named as the keys of their events."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from wtforms import RadioField, SelectField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired
from wtforms.widgets import DateInput

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.typed_values import read_amount, read_day
from portal.models.assets import Asset
from portal.models.planning import MaintenanceOutcome, MaintenanceType
from portal.services.actions.planning.queries import find_maintenance, find_reservation
from portal.services.actions.planning.rules import (
    PlanValues,
    ReservationValues,
    WorkValues,
    plan_faults,
    reservation_faults,
    work_faults,
)
from portal.services.assets import staff
from portal.services.assets.rules import Fault
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.web.actions.forms import ActionForm, line_field, note_field, staff_field
from portal.web.forms.datetime_field import MomentField
from portal.web.forms.fields import TypedField, row_id
from portal.web.planning.words import OUTCOMES, TYPES

KINDS = [SelectChoice(str(value), words) for value, words in TYPES.items()]
ENDS = [SelectChoice(str(value), words) for value, words in OUTCOMES.items()]


def read_days(text: str) -> int:
    """A number of days, up to ten years."""
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= 3650):
        raise ValueError("in digits, from 1 to 3650")
    return int(text)


def _person(label: str) -> SelectField:
    return SelectField(label, coerce=row_id, validate_choice=False)


def _amount(label: str) -> TypedField:
    return TypedField(label, read=read_amount, render_kw={"inputmode": "decimal"})


def _in_currency() -> str:
    return f"In {settings().currency}, such as 40.00"


class RuledForm(ActionForm):
    """A form whose values the services' own rules look at, all of them at once."""

    widths: ClassVar[dict[str, str]] = {"title": "", "purpose": "", "supplier": ""}

    def found(self) -> Iterable[Fault]:
        """What the rules say of what was typed."""
        return ()

    def validate(self, extra_validators: Any = None) -> bool:
        """Read every field, then ask the rules; one sentence a field is enough."""
        read_well = bool(super().validate(extra_validators))
        wrong = {field.name for field in self if field.errors}
        faults = [each for each in self.found() if each.field not in wrong]
        for fault in faults:
            self.refuse(Refusal(fault.sentence, field=fault.field))
        return read_well and not faults


class ReserveForm(RuledForm):
    """Who wants it, from when until when, and what for."""

    staff_id = staff_field("Who wants it", "Choose who wants the asset")
    starts_at = MomentField(
        "From",
        called="start of the reservation",
        validators=[InputRequired("Enter when the reservation starts")],
    )
    ends_at = MomentField(
        "Until",
        called="end of the reservation",
        validators=[InputRequired("Enter when the reservation ends")],
    )
    purpose = line_field("purpose", "What for")

    def values(self) -> ReservationValues:
        """What was typed, as the service takes it."""
        return ReservationValues(
            staff_id=self.staff_id.data,
            starts_at=self.starts_at.data,
            ends_at=self.ends_at.data,
            purpose=self.text("purpose"),
        )

    def found(self) -> Iterable[Fault]:
        """What the rules say."""
        return reservation_faults(self.values(), utcnow())


class ReservationForm(ActionForm):
    """A step of one reservation."""

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """It must be a reservation of this asset."""
        find_reservation(asset.id, subject)


class RejectForm(ReservationForm):
    """Why not, for whoever asked."""

    rejection_reason = note_field(
        "rejection_reason", "Reason", "Enter why, for whoever asked for it"
    )


class CancelReservationForm(ReservationForm):
    """Why it is taken back."""

    note = note_field("reason", "Reason")


class ScheduleForm(RuledForm):
    """What is to be done, by when, by whom, and how often."""

    title = line_field("title", "What is to be done", "Enter what is to be done")
    type = SelectField(
        "Type of work",
        choices=KINDS,
        default=MaintenanceType.PREVENTIVE.value,
        validate_choice=False,
    )
    due_on = TypedField(
        "Due on",
        read=read_day,
        called="day on which it is due",
        widget=DateInput(),
        validators=[InputRequired("Enter the day on which it is due")],
    )
    repeat_every_days = TypedField(
        "Repeat every",
        read=read_days,
        called="number of days",
        description="In days, counted from the day on which it is done. Empty: once",
        render_kw={"inputmode": "numeric"},
    )
    assignee_id = _person("Who does it")
    supplier = line_field("supplier", "Company")
    estimated_cost = _amount("Estimated cost")
    note = note_field()

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """Everybody who has not left."""
        self.assignee_id.choices = people()
        self.estimated_cost.description = _in_currency()

    def values(self) -> PlanValues:
        """What was typed, as the service takes it."""
        return PlanValues(
            title=self.text("title"),
            type=self.type.data or "",
            due_on=self.due_on.data,
            repeat_every_days=self.repeat_every_days.data,
            assignee_id=self.assignee_id.data,
            supplier=self.text("supplier") or None,
            estimated_cost=self.estimated_cost.data,
            note=self.text("note"),
        )

    def found(self) -> Iterable[Fault]:
        """What the rules say."""
        return plan_faults(self.values())


class MaintenanceForm(ActionForm):
    """A step of one maintenance, with a note."""

    note = note_field()

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """It must be a maintenance of this asset."""
        find_maintenance(asset.id, subject)


class CallOffForm(MaintenanceForm):
    """Why it is not to be done."""

    note = note_field("reason", "Reason")


class CompleteForm(RuledForm):
    """How the work ended."""

    outcome = RadioField(
        "How it ended",
        choices=ENDS,
        default=MaintenanceOutcome.OK.value,
        validate_choice=False,
    )
    completed_on = TypedField(
        "Completed on",
        read=read_day,
        called="day on which it was completed",
        widget=DateInput(),
        validators=[InputRequired("Enter the day on which it was completed")],
    )
    cost = _amount("Cost")
    performed_by_id = _person("Who did it")
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """Today, and whoever was to do it."""
        found = find_maintenance(asset.id, subject)
        return {"completed_on": today(), "performed_by_id": found.assignee_id}

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """Everybody who has not left."""
        self.performed_by_id.choices = people()
        self.cost.description = _in_currency()

    def values(self) -> WorkValues:
        """What was typed, as the service takes it."""
        return WorkValues(
            outcome=self.outcome.data or "",
            completed_on=self.completed_on.data,
            cost=self.cost.data,
            performed_by_id=self.performed_by_id.data,
            note=self.text("note"),
        )

    def found(self) -> Iterable[Fault]:
        """What the rules say."""
        return work_faults(self.values(), today())


def people() -> list[SelectChoice]:
    """Everybody who has not left, or nobody in particular."""
    nobody = SelectChoice("", "Nobody in particular")
    return [nobody, *(SelectChoice(str(each.id), each.label) for each in staff.choices())]
