"""What the lists of reservations and maintenance say of a row, and the buttons beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

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
from portal.services.actions.why_not import why_not
from portal.services.alerts.rules import Moment
from portal.web.frame.access import can
from portal.web.frame.status_tags import Tag, maintenance_tag, reservation_tag
from portal.web.planning.words import AT_RISK, due_badge


@dataclass(frozen=True, slots=True)
class NextStep:
    """A link to what can be done next; `why_not` says why it is off now, to follow "It"."""

    label: str
    url: str
    why_not: str | None


def reservation_tags(reservation: Reservation, asset: Asset) -> list[Tag]:
    """Its state, and whether it can be kept as things stand."""
    return [reservation_tag(reservation.state)] + [AT_RISK] * is_at_risk(reservation, asset)


def maintenance_tags(maintenance: Maintenance, moment: Moment) -> list[Tag]:
    """Its state, and whether it is late or due soon."""
    badge = due_badge(maintenance, moment)
    return [maintenance_tag(maintenance.state), *([badge] if badge else [])]


def reservation_steps(reservation: Reservation, asset: Asset) -> Sequence[NextStep]:
    """What the signed-in person may do with it now."""
    if reservation.state not in OPEN_RESERVATIONS:
        return []
    steps = [Action.REJECT_RESERVATION, Action.CANCEL_RESERVATION]
    if reservation.state == ReservationState.PENDING:
        steps.insert(0, Action.APPROVE_RESERVATION)
    return _steps(steps, asset, reservation)


def maintenance_steps(maintenance: Maintenance, asset: Asset) -> Sequence[NextStep]:
    """What the signed-in person may do with it now."""
    if maintenance.state not in OPEN_MAINTENANCES:
        return []
    steps = [Action.COMPLETE_MAINTENANCE, Action.CANCEL_MAINTENANCE]
    if maintenance.state == MaintenanceState.SCHEDULED:
        steps.insert(0, Action.START_MAINTENANCE)
    return _steps(steps, asset, maintenance)


LABELS = {
    Action.APPROVE_RESERVATION: "Approve",
    Action.REJECT_RESERVATION: "Reject",
    Action.CANCEL_RESERVATION: "Cancel",
    Action.START_MAINTENANCE: "Start",
    Action.COMPLETE_MAINTENANCE: "Complete",
    Action.CANCEL_MAINTENANCE: "Cancel",
}


def _steps(
    actions: Sequence[Action], asset: Asset, concerned: Reservation | Maintenance
) -> Sequence[NextStep]:
    if not can("assets.edit") or asset.deleted_at is not None:
        return []
    return [
        NextStep(
            LABELS[action],
            url_for(f"actions.{action}", asset_id=asset.id, subject=concerned.public_id),
            why_not(action, asset.status, asset.kind),
        )
        for action in actions
    ]
