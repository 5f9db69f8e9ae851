"""Define the action pages that change an asset's holder, such as check-out and check-in."""

from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from wtforms import BooleanField, RadioField

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.services.assets.snapshots import open_assignment
from portal.services.core.refusals import Refusal
from portal.services.webhooks.queries import count_listeners
from portal.web.actions.forms import (
    CONDITIONS,
    ActionForm,
    ActionPage,
    line_field,
    location_field,
    note_field,
    staff_field,
)
from portal.web.forms import moment_choice
from portal.web.forms.moment_choice import OTHER
from portal.web.forms.parsing import AS_TYPED, MomentField
from portal.web.frame.wording import zone

# Due times are at the end of the working day. Near it, "Today" means the day's last minute.
EVENING: Final = time(17)
LAST: Final = time(23, 59)
CLOSE: Final = timedelta(minutes=30)
DAYS: Final = {"Today": 0, "Tomorrow": 1, "1 week": 7}
USUAL: Final = "1 week"
MORE: Final = {"1 day more": 1, "1 week more": 7, "4 weeks more": 28}


def due_fields() -> tuple[RadioField, MomentField]:
    """Return the choice of due times (`due`), and the field for any other time (`due_at`)."""
    typed = MomentField("Date and time", called="due date")
    return RadioField("Due back", validate_choice=False), typed


def due_times(now: datetime | None = None) -> dict[str, datetime]:
    """Return the due times to choose from by label, in the reader's time zone."""
    here = (now or utcnow()).astimezone(zone())
    times = {}
    for name, days in DAYS.items():
        at = datetime.combine(here.date() + timedelta(days=days), EVENING, zone())
        if at - here < CLOSE:
            at = datetime.combine(here.date(), LAST, zone())
        if at > here:
            times[name] = at
    return times


def later_times(due_at: datetime) -> dict[str, datetime]:
    """Return the due times to extend a loan to, by label. An overdue loan counts from today."""
    if due_at <= utcnow():
        return due_times()
    here = due_at.astimezone(zone())
    return {name: _existing(here + timedelta(days=days)) for name, days in MORE.items()}


def _existing(at: datetime) -> datetime:
    """Move a time that daylight saving skips to one that exists."""
    return at.astimezone(UTC).astimezone(zone())


class DueForm(ActionForm):
    """A form with a due date."""

    beside = frozenset({"due_at"})
    due: RadioField
    due_at: MomentField
    untouched: datetime | None = None  # the initial value of `due_at`
    _due_at: datetime | None = None

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """Preselect one week, the most common choice."""
        return {"due": f"{due_times()[USUAL]:{AS_TYPED}}"}

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        super().prepare(asset, subject)
        moment_choice.offer(self.due, self.times(asset), utcnow())

    def times(self, asset: Asset) -> dict[str, datetime]:
        """Return the due times to choose from, by label."""
        return due_times()

    def validate(self, extra_validators: Any = None) -> bool:
        """Validate every field, then require one due time. A choice and a typed time must agree."""
        is_well = bool(super().validate(extra_validators))
        try:
            self._due_at = moment_choice.chosen(self.due, self.due_at, self.untouched)
            if not self.due_at.errors and self._due_at is None:
                raise Refusal("Enter a due date and time", field="due_at")
        except Refusal as refusal:
            self.refuse(refusal)
            return False
        return is_well

    def filled(self) -> dict[str, Any]:
        """Return the entered values, with the due time as `due_at`."""
        values = super().filled()
        del values["due"]
        return values | {"due_at": self._due_at}


class AllocateForm(ActionForm):
    staff_id = staff_field()
    note = note_field()


class ReassignForm(ActionForm):
    staff_id = staff_field()
    reason = line_field("reason", "Reason")
    note = note_field()


class ReturnForm(ActionForm):
    """A form for an asset's return: its condition, and a damage report if it needs repair."""

    REPORTED: ClassVar = "Reported as broken, so no one can check it out"
    beside = frozenset({"needs_repair", "description"})

    condition_in = RadioField("Condition", choices=CONDITIONS, validate_choice=False)
    needs_repair = BooleanField("It needs repair", description=REPORTED)
    description = note_field("description", "What happened")

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """Preselect the current condition, and repair unless the asset was already damaged."""
        return {
            "condition_in": asset.condition,
            "needs_repair": asset.condition != Condition.DAMAGED,
        }

    def filled(self) -> dict[str, Any]:
        """Return the entered values. Only a damaged asset can need repair."""
        values = super().filled()
        is_damaged = values["condition_in"] == Condition.DAMAGED
        return values | {"needs_repair": is_damaged and values["needs_repair"]}

    def validate(self, extra_validators: Any = None) -> bool:
        """Validate every field, then require a description if the asset needs repair."""
        is_well = bool(super().validate(extra_validators))
        if self.filled()["needs_repair"] and not self.text("description"):
            self.refuse(Refusal("Describe what happened", field="description"))
            return False
        return is_well


class RevokeForm(ReturnForm):
    location_id = location_field("New location")
    reason = line_field("reason", "Reason")
    note = note_field()


class CheckOutForm(DueForm):
    staff_id = staff_field()
    due, due_at = due_fields()
    purpose = line_field("purpose", "Purpose")
    note = note_field()


class CheckInForm(ReturnForm):
    location_id = location_field("New location")
    note = note_field()


class DueDateForm(DueForm):
    due, due_at = due_fields()
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        checkout = open_assignment(asset.id)
        return {"due": OTHER, "due_at": checkout.due_at if checkout else None}

    def times(self, asset: Asset) -> dict[str, datetime]:
        """Count from the current due date, so that no choice brings it forward."""
        checkout = open_assignment(asset.id)
        if checkout is None or checkout.due_at is None:
            return due_times()
        self.untouched = checkout.due_at
        return later_times(checkout.due_at)


def _of_repair(_asset: Asset, _subject: UUID | None) -> dict[str, Any]:
    return {"of_repair": count_listeners(EventName.BROKEN)}


PAGES: Final = (
    ActionPage(
        action=Action.CHECK_OUT,
        timeline="Checked out",
        label="Check out",
        icon="box-arrow-up-right",
        title="Check out {name}",
        lede="Choose a person and a due date. Overdue assets appear on Overview and under Alerts.",
        done="Checked out {tag} to {holder}, due {due}.",
        form=CheckOutForm,
        main=frozenset({AssetStatus.AVAILABLE}),
    ),
    ActionPage(
        action=Action.ALLOCATE,
        timeline="Allocated",
        label="Allocate",
        icon="person-plus",
        title="Allocate {name}",
        lede="No due date. To set a due date, check it out instead.",
        done="Allocated {tag} to {holder}.",
        form=AllocateForm,
        main=frozenset({AssetStatus.AVAILABLE}),
    ),
    ActionPage(
        action=Action.CHECK_IN,
        timeline="Checked in",
        label="Check in",
        icon="box-arrow-in-down-left",
        title="Check in {name}",
        lede="{holder} is returning it.",
        done="Checked in {tag}. It’s now {status}.",
        form=CheckInForm,
        context=_of_repair,
        main=frozenset({AssetStatus.CHECKED_OUT}),
    ),
    ActionPage(
        action=Action.CHANGE_DUE_DATE,
        timeline="Due date changed",
        label="Change due date",
        icon="calendar-event",
        title="Change {name}’s due date",
        lede="Currently with {holder}, due {due}.",
        done="{tag} is now due {due}. It was due {was_due}.",
        submit="Save due date",
        form=DueDateForm,
        main=frozenset({AssetStatus.CHECKED_OUT}),
    ),
    ActionPage(
        action=Action.REVOKE,
        timeline="Revoked",
        label="Revoke",
        icon="person-dash",
        title="Revoke {name}",
        lede="Currently with {holder}.",
        done="Revoked {tag}. It’s now {status}.",
        form=RevokeForm,
        context=_of_repair,
        main=frozenset({AssetStatus.ALLOCATED}),
    ),
    ActionPage(
        action=Action.REASSIGN,
        label="Reassign",
        icon="arrow-left-right",
        title="Reassign {name}",
        lede="Currently with {holder}. This moves the allocation in one step.",
        done="Reassigned {tag} to {holder}.",
        form=ReassignForm,
        main=frozenset({AssetStatus.ALLOCATED}),
    ),
)
