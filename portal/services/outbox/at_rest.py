"""Compute the columns of deliveries that are put on hold, dismissed or restored.

A dismissed delivery keeps the status to restore in `prior_status`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, case, false, func, literal, null

from portal.extensions import settings
from portal.models.deliveries import OPEN, Delivery, DeliveryStatus, Priority, reopened

UNDELIVERED: Final = (*OPEN, DeliveryStatus.ON_HOLD, DeliveryStatus.FAILED)
NOT_DISMISSED: Final[dict[str, Any]] = {
    "dismissed_by": None,
    "dismissed_at": None,
    "dismissed_reason": None,
    "dismissal_id": None,
}


class Dismissal(NamedTuple):
    """One act of dismissing, with its author, its reason (may be blank) and an id for all its
    deliveries."""

    by: str
    reason: str
    act: UUID | None = None


def held_until(created_at: datetime, off_at: datetime | None) -> datetime:
    """Return when the retention of a held delivery ends. It is dismissed then.

    `off_at`: when its webhook was turned off. None means that it is on but kept its held
    deliveries.
    """
    since = max(created_at, off_at) if off_at else created_at
    return since + timedelta(days=settings().retention_days)


def on_hold(now: datetime) -> dict[str, Any]:
    """Return the new values of an open delivery whose webhook is off."""
    values = _at_rest(now, OPEN, DeliveryStatus.ON_HOLD)
    return {**values, "prior_status": None}


def dismissed(
    now: datetime, dismissal: Dismissal, among: Sequence[DeliveryStatus] = UNDELIVERED
) -> dict[str, Any]:
    """Return the new values of a delivery whose status, without a person's retry, is one of
    `among`. Any other delivery gets back its status from before the retry."""
    is_taken = _earlier().in_([str(status) for status in among])
    return {
        **_at_rest(now, among, DeliveryStatus.DISMISSED),
        "prior_status": case((is_taken, _earlier())),
        "dismissed_by": case((is_taken, dismissal.by)),
        "dismissed_at": case((is_taken, literal(now, Delivery.dismissed_at.type))),
        "dismissed_reason": case((is_taken, dismissal.reason or null())),
        "dismissal_id": case((is_taken, literal(dismissal.act, Delivery.dismissal_id.type))),
    }


def restored(*, is_off: bool) -> dict[str, Any]:
    """Return the new values of a dismissed delivery. It is Failed if it has failed, else as before.

    `is_off`: whether its webhook is off.
    """
    earlier = Delivery.prior_status
    has_failed = earlier == DeliveryStatus.FAILED
    is_held = Delivery.priority != Priority.TEST if is_off else false()
    return {
        "status": case(
            (has_failed, str(DeliveryStatus.FAILED)),
            (is_held, str(DeliveryStatus.ON_HOLD)),
            (earlier == DeliveryStatus.RETRYING, str(DeliveryStatus.RETRYING)),
            else_=reopened(),
        ),
        "finished_at": case((has_failed, Delivery.finished_at), else_=null()),
        "prior_status": None,
        **NOT_DISMISSED,
    }


def _earlier() -> ColumnElement[str]:
    """Return the status from before a retry that a person has requested."""
    return func.coalesce(Delivery.prior_status, Delivery.status)


def _at_rest(
    now: datetime, among: Sequence[DeliveryStatus], status: DeliveryStatus
) -> dict[str, Any]:
    earlier = _earlier()
    has_ended = earlier.in_([str(DeliveryStatus.DELIVERED), str(DeliveryStatus.FAILED)])
    ended = literal(now, Delivery.finished_at.type)
    is_taken = earlier.in_([str(member) for member in among])
    is_over: Any = ended if status is DeliveryStatus.DISMISSED else null()
    is_test = Delivery.priority == Priority.TEST
    return {
        "status": case((is_taken, str(status)), else_=earlier),
        "due_at": func.coalesce(Delivery.prior_due_at, Delivery.due_at),
        "priority": case((is_test, int(Priority.TEST)), else_=int(Priority.NORMAL)),
        "finished_at": case((has_ended, func.coalesce(Delivery.finished_at, ended)), else_=is_over),
        "prior_due_at": None,
        "requested_by": None,
    }
