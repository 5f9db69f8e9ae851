"""The pages of reserving and maintaining: the rows of the table of actions."""

from typing import Any, Final
from uuid import UUID

from portal.models.assets import Action, Asset, AssetStatus
from portal.models.planning import OPEN_MAINTENANCES, OPEN_RESERVATIONS, ReservationState
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.queries import find_maintenance, find_reservation
from portal.services.core.refusals import NotFound, Refusal
from portal.web.actions.action_page import ActionPage, Doing
from portal.web.actions.planning_forms import (
    CallOffForm,
    CancelReservationForm,
    CompleteForm,
    MaintenanceForm,
    RejectForm,
    ReservationForm,
    ReserveForm,
    ScheduleForm,
)
from portal.web.frame.status_tags import MAINTENANCE, RESERVATION
from portal.web.planning.words import TYPES, cycle_in_words, day_in_words, span_in_words


def _subject(doing: Doing) -> UUID:
    if doing.subject is None:  # its route always has one
        raise NotFound("There is nothing at this address.")
    return doing.subject


def _reservation(asset: Asset, subject: UUID | None) -> dict[str, Any]:
    """What the page shows of it; what is decided already has no page."""
    found = find_reservation(asset.id, subject)
    if found.state not in OPEN_RESERVATIONS:
        became = RESERVATION[found.state].word.lower()
        raise Refusal(f"This reservation is closed already: {became}.")
    facts = [
        ("Who", found.staff.name),
        ("When", span_in_words(found.starts_at, found.ends_at)),
        ("What for", found.purpose),
        ("Status", RESERVATION[found.state].word),
    ]
    return {"concerned": facts}


def _to_approve(asset: Asset, subject: UUID | None) -> dict[str, Any]:
    shown = _reservation(asset, subject)
    if find_reservation(asset.id, subject).state == ReservationState.APPROVED:
        raise Refusal("This reservation has been approved already.")
    return shown


def _maintenance(asset: Asset, subject: UUID | None) -> dict[str, Any]:
    found = find_maintenance(asset.id, subject)
    if found.state not in OPEN_MAINTENANCES:
        became = MAINTENANCE[found.state].word.lower()
        raise Refusal(f"“{found.title}” is closed already: {became}.")
    facts = [
        ("What", found.title),
        ("Type of work", TYPES[found.type]),
        ("Due on", day_in_words(found.due_on)),
        ("How often", cycle_in_words(found.repeat_every_days)),
        ("Who does it", found.assignee.name if found.assignee else ""),
    ]
    return {"concerned": facts}


def _reserve(doing: Doing) -> object:
    form: ReserveForm = doing.form
    return planning_reservations.reserve(doing.actor, doing.asset_id, form.values())


def _approve(doing: Doing) -> object:
    return planning_reservations.approve(doing.actor, _subject(doing))


def _reject(doing: Doing) -> object:
    reason = doing.form.text("rejection_reason")
    return planning_reservations.reject(doing.actor, _subject(doing), reason)


def _cancel(doing: Doing) -> object:
    return planning_reservations.cancel(doing.actor, _subject(doing), doing.form.text("note"))


def _schedule(doing: Doing) -> object:
    form: ScheduleForm = doing.form
    return planning_maintenance.schedule(doing.actor, doing.asset_id, form.values())


def _start(doing: Doing) -> object:
    return planning_maintenance.start(doing.actor, _subject(doing), doing.form.text("note"))


def _complete(doing: Doing) -> object:
    form: CompleteForm = doing.form
    return planning_maintenance.complete(doing.actor, _subject(doing), form.values())


def _call_off(doing: Doing) -> object:
    return planning_maintenance.call_off(doing.actor, _subject(doing), doing.form.text("note"))


ABOUT: Final = "actions/planning_form.html"
RESERVATIONS_TAB: Final = "asset_parts.reservations"
MAINTENANCE_TAB: Final = "asset_parts.maintenance"

PAGES: Final = (
    ActionPage(
        action=Action.RESERVE,
        slug="reserve",
        label="Reserve",
        icon="calendar-plus",
        title="Reserve {name}",
        lede="Ask to have it for a time. Somebody approves it before it counts.",
        done="{tag}: reservation requested; waiting for approval.",
        submit="Request reservation",
        form=ReserveForm,
        run=_reserve,
        tab=RESERVATIONS_TAB,
    ),
    ActionPage(
        action=Action.SCHEDULE_MAINTENANCE,
        slug="schedule-maintenance",
        label="Schedule maintenance",
        icon="calendar-event",
        title="Schedule maintenance of {name}",
        lede="Plan what is to be done. The asset stays in use until the work is started.",
        done="Maintenance of {tag} is scheduled.",
        form=ScheduleForm,
        run=_schedule,
        tab=MAINTENANCE_TAB,
        main=frozenset({AssetStatus.BROKEN}),
    ),
    ActionPage(
        action=Action.APPROVE_RESERVATION,
        slug="approve-reservation",
        label="Approve",
        icon="calendar-check",
        title="Approve the reservation of {name}?",
        done="The reservation of {tag} is approved.",
        submit="Approve reservation",
        form=ReservationForm,
        run=_approve,
        tab=RESERVATIONS_TAB,
        with_subject=True,
        template=ABOUT,
        context=_to_approve,
    ),
    ActionPage(
        action=Action.REJECT_RESERVATION,
        slug="reject-reservation",
        label="Reject",
        icon="calendar-x",
        title="Reject the reservation of {name}",
        done="The reservation of {tag} was rejected.",
        submit="Reject reservation",
        kind="danger",
        form=RejectForm,
        run=_reject,
        tab=RESERVATIONS_TAB,
        with_subject=True,
        template=ABOUT,
        context=_reservation,
    ),
    ActionPage(
        action=Action.CANCEL_RESERVATION,
        slug="cancel-reservation",
        label="Cancel",
        icon="slash-circle",
        title="Cancel the reservation of {name}",
        lede="For when it is not needed any more. To turn it down, reject it.",
        done="The reservation of {tag} was cancelled.",
        submit="Cancel reservation",
        kind="danger",
        way_back="Keep the reservation",
        form=CancelReservationForm,
        run=_cancel,
        tab=RESERVATIONS_TAB,
        with_subject=True,
        template=ABOUT,
        context=_reservation,
    ),
    ActionPage(
        action=Action.START_MAINTENANCE,
        slug="start-maintenance",
        label="Start",
        icon="wrench",
        title="Start maintenance of {name}",
        lede="It is in maintenance until the work is completed or cancelled.",
        done="{tag} is in maintenance.",
        submit="Start maintenance",
        form=MaintenanceForm,
        run=_start,
        tab=MAINTENANCE_TAB,
        with_subject=True,
        template=ABOUT,
        context=_maintenance,
    ),
    ActionPage(
        action=Action.COMPLETE_MAINTENANCE,
        slug="complete-maintenance",
        label="Complete",
        icon="check-circle",
        title="Complete maintenance of {name}",
        done="The maintenance of {tag} is completed.",
        submit="Complete maintenance",
        form=CompleteForm,
        run=_complete,
        tab=MAINTENANCE_TAB,
        with_subject=True,
        template=ABOUT,
        context=_maintenance,
    ),
    ActionPage(
        action=Action.CANCEL_MAINTENANCE,
        slug="cancel-maintenance",
        label="Cancel",
        icon="slash-circle",
        title="Cancel maintenance of {name}",
        lede="If the work has begun, the asset gets back the status that it had before.",
        done="The maintenance of {tag} was cancelled.",
        submit="Cancel maintenance",
        kind="danger",
        way_back="Keep the maintenance",
        form=CallOffForm,
        run=_call_off,
        tab=MAINTENANCE_TAB,
        with_subject=True,
        template=ABOUT,
        context=_maintenance,
    ),
)
