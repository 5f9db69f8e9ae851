"""Phrase reservations and maintenance: periods, tags, and next steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flask import url_for

from portal.models.assets import Action, Asset
from portal.models.planning import (
    OPEN_MAINTENANCES,
    OPEN_RESERVATIONS,
    Maintenance,
    MaintenanceState,
    Reservation,
    ReservationState,
)
from portal.services.actions.planning.queries import is_at_risk
from portal.services.actions.rules import why_not
from portal.services.alerts.rules import Moment, is_due_soon
from portal.web.frame.access import can
from portal.web.frame.status_tags import MAINTENANCE, RESERVATION, Tag
from portal.web.frame.wording import exact_day, plural, zone

LATE: Final = Tag("Late", "alarm", "danger")
DUE_SOON: Final = Tag("Due soon", "alarm", "warning")
AT_RISK: Final = Tag("At risk", "exclamation-triangle-fill", "warning")


def span_in_words(starts: datetime, ends: datetime) -> str:
    """Return the period in the reader's time zone, naming the day once if both ends share it."""
    here, there = starts.astimezone(zone()), ends.astimezone(zone())
    end = f"{there:%H:%M}" if here.date() == there.date() else exact_day(there)
    return f"{exact_day(here)} to {end}"


def due_badge(maintenance: Maintenance, moment: Moment) -> Tag | None:
    """Return the tag of open maintenance that is late or due soon, or None. Started work is never
    due soon, because no alert covers it."""
    if maintenance.state not in OPEN_MAINTENANCES:
        return None
    if maintenance.due_on < moment.today:
        return LATE
    is_started = maintenance.state != MaintenanceState.SCHEDULED
    return DUE_SOON if is_due_soon(moment, maintenance.due_on) and not is_started else None


def cycle_in_words(days: int | None) -> str:
    return f"every {plural(days, 'day')}" if days else "once"


@dataclass(frozen=True, slots=True)
class NextStep:
    """A link to a next action. `why_not`: why it is unavailable now, as words to follow "It"."""

    label: str
    url: str
    why_not: str | None


def reservation_tags(reservation: Reservation, asset: Asset) -> list[Tag]:
    """Return the tag of the state, plus one if the asset's status puts the reservation at risk."""
    return [RESERVATION[reservation.state]] + [AT_RISK] * is_at_risk(reservation, asset)


def maintenance_tags(maintenance: Maintenance, moment: Moment) -> list[Tag]:
    """Return the tags of the state and due date. "Due soon" or "Late" alone implies "scheduled"."""
    badge = due_badge(maintenance, moment)
    is_plain = badge and maintenance.state == MaintenanceState.SCHEDULED
    state = [] if is_plain else [MAINTENANCE[maintenance.state]]
    return state + ([badge] if badge else [])


def reservation_steps(
    reservation: Reservation, asset: Asset, back: str | None = None
) -> Sequence[NextStep]:
    """Return the actions that a reservation allows. `back`: the page that they return to."""
    if reservation.state not in OPEN_RESERVATIONS:
        return []
    steps = [Action.REJECT_RESERVATION, Action.CANCEL_RESERVATION]
    if reservation.state == ReservationState.PENDING:
        steps.insert(0, Action.APPROVE_RESERVATION)
    return _steps(steps, asset, reservation, back)


def maintenance_steps(maintenance: Maintenance, asset: Asset) -> Sequence[NextStep]:
    if maintenance.state not in OPEN_MAINTENANCES:
        return []
    steps = [Action.COMPLETE_MAINTENANCE, Action.CANCEL_MAINTENANCE]
    if maintenance.state == MaintenanceState.SCHEDULED:
        steps.insert(0, Action.START_MAINTENANCE)
    return _steps(steps, asset, maintenance)


LABELS = {
    Action.APPROVE_RESERVATION: "Approve",
    Action.REJECT_RESERVATION: "Reject",
    Action.CANCEL_RESERVATION: "Cancel reservation",
    Action.START_MAINTENANCE: "Start",
    Action.COMPLETE_MAINTENANCE: "Complete",
    Action.CANCEL_MAINTENANCE: "Cancel",
}


def _steps(
    actions: Sequence[Action],
    asset: Asset,
    concerned: Reservation | Maintenance,
    back: str | None = None,
) -> Sequence[NextStep]:
    if not can("assets.edit") or asset.deleted_at is not None:
        return []
    return [
        NextStep(
            LABELS[action],
            url_for(f"actions.{action}", asset_id=asset.id, subject=concerned.public_id, list=back),
            why_not(action, asset.status, asset.kind),
        )
        for action in actions
    ]
