"""The pages that say who has an asset: give, lend, take back, return."""

from typing import Any, Final
from uuid import UUID

from portal.models.assets import Action, Asset, AssetStatus
from portal.services.actions import assignments
from portal.services.assets.snapshots import open_assignment
from portal.web.actions.action_page import ActionPage, doing
from portal.web.actions.due_dates import OTHER, DueForm, due_fields
from portal.web.actions.forms import (
    ActionForm,
    condition_field,
    line_field,
    location_field,
    note_field,
    staff_field,
)


class AllocateForm(ActionForm):
    """Who gets it."""

    staff_id = staff_field()
    note = note_field()


class ReassignForm(ActionForm):
    """Who gets it after whom, and why."""

    staff_id = staff_field()
    reason = line_field("reason", "Reason")
    note = note_field()


class RevokeForm(ActionForm):
    """How it came back, and why."""

    condition_in = condition_field()
    location_id = location_field("Where it goes")
    reason = line_field("reason", "Reason")
    note = note_field()


class CheckOutForm(DueForm):
    """Who borrows it, and until when."""

    staff_id = staff_field("Who borrows it", "Choose who borrows it")
    due, due_at = due_fields()
    purpose = line_field("purpose", "What for")
    note = note_field()


class CheckInForm(ActionForm):
    """How it came back."""

    condition_in = condition_field()
    location_id = location_field("Where it goes")
    note = note_field()


class DueDateForm(DueForm):
    """Until when the person may keep it."""

    due, due_at = due_fields()
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """The due time as it is."""
        lent = open_assignment(asset.id)
        return {"due": OTHER, "due_at": lent.due_at if lent else None}


PAGES: Final = (
    ActionPage(
        action=Action.CHECK_OUT,
        slug="check-out",
        label="Lend",
        icon="box-arrow-up-right",
        title="Lend {name}",
        lede="Somebody has it until a day and time. If it comes back late, you see it here, on "
        "the start page and under Alerts.",
        done="{tag} is lent to {holder}.",
        form=CheckOutForm,
        run=doing(assignments.check_out),
        main=frozenset({AssetStatus.AVAILABLE}),
    ),
    ActionPage(
        action=Action.ALLOCATE,
        slug="allocate",
        label="Give permanently",
        icon="person-plus",
        title="Give {name} permanently",
        lede="Somebody has it until you take it back. To give it for a time, lend it.",
        done="{tag} is now with {holder}.",
        form=AllocateForm,
        run=doing(assignments.allocate),
        main=frozenset({AssetStatus.AVAILABLE}),
    ),
    ActionPage(
        action=Action.CHECK_IN,
        slug="check-in",
        label="Check in",
        icon="box-arrow-in-down-left",
        title="Check in {name}",
        lede="{holder} brings it back.",
        done="{tag} is back.",
        form=CheckInForm,
        run=doing(assignments.check_in),
        main=frozenset({AssetStatus.CHECKED_OUT}),
    ),
    ActionPage(
        action=Action.CHANGE_DUE_DATE,
        slug="change-due-date",
        label="Change due date",
        icon="calendar-event",
        title="Change when {name} is due back",
        lede="{holder} has it now.",
        done="The due date of {tag} was changed.",
        submit="Save due date",
        form=DueDateForm,
        run=doing(assignments.change_due_date),
        main=frozenset({AssetStatus.CHECKED_OUT}),
    ),
    ActionPage(
        action=Action.REVOKE,
        slug="revoke",
        label="Take back",
        icon="person-dash",
        title="Take back {name}",
        lede="{holder} has it now.",
        done="{tag} was taken back.",
        form=RevokeForm,
        run=doing(assignments.revoke),
        main=frozenset({AssetStatus.ALLOCATED}),
    ),
    ActionPage(
        action=Action.REASSIGN,
        slug="reassign",
        label="Reassign",
        icon="arrow-left-right",
        title="Pass {name} on to somebody else",
        lede="{holder} has it now. It is taken back and given on in one step.",
        done="{tag} is now with {holder}.",
        form=ReassignForm,
        run=doing(assignments.reassign),
        main=frozenset({AssetStatus.ALLOCATED}),
    ),
)
