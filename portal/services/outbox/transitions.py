"""The columns that a change of status writes, and the only place that says it.

A decision of the policy after an attempt (`columns`); rest, while a webhook is off (`rest_values`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import case, func, literal, null

from portal.database.engine import AnyRow
from portal.engine.retry_policy import Decision, Delivered, Repeat, Restore, RetryAt
from portal.models.deliveries import OPEN, Delivery, DeliveryStatus, Priority


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """What a decision needs to know of the delivery."""

    due_at: datetime
    priority: int
    prior_status: str | None
    prior_due_at: datetime | None
    requested_by: str | None
    stopped_by: str | None


# The columns that `open_delivery_of` reads.
OPEN_DELIVERY: Final[tuple[Any, ...]] = (
    Delivery.due_at,
    Delivery.priority,
    Delivery.prior_status,
    Delivery.prior_due_at,
    Delivery.requested_by,
    Delivery.stopped_by,
)


def open_delivery_of(row: AnyRow) -> OpenDelivery:
    """From a row that has these columns."""
    return OpenDelivery(
        row.due_at,
        row.priority,
        row.prior_status,
        row.prior_due_at,
        row.requested_by,
        row.stopped_by,
    )


def columns(decision: Decision, delivery: OpenDelivery, now: datetime) -> dict[str, Any]:
    """The new values of status, due time and what belongs to a person's extra attempt.

    Always the same keys, so that many rows go into one statement.
    """
    values: dict[str, Any] = {
        "status": DeliveryStatus.FAILED,
        "due_at": delivery.due_at,
        "priority": Priority.NORMAL if delivery.priority != Priority.TEST else Priority.TEST,
        "prior_status": None,
        "prior_due_at": None,
        "requested_by": None,
        "stopped_by": None,
        "finished_at": now,
    }
    match decision:
        case Delivered():
            values |= {"status": DeliveryStatus.DELIVERED}
        case RetryAt(at):
            values |= {"status": DeliveryStatus.RETRYING, "due_at": at, "finished_at": None}
        case Restore() if delivery.prior_status:
            values |= {
                "status": delivery.prior_status,
                "due_at": delivery.prior_due_at or delivery.due_at,
                "stopped_by": delivery.stopped_by,
                "finished_at": None if delivery.prior_status in OPEN else now,
            }
        case Repeat():
            values |= {
                "status": DeliveryStatus.WAITING,
                "due_at": now,
                "priority": delivery.priority,
                "prior_status": delivery.prior_status,
                "prior_due_at": delivery.prior_due_at,
                "requested_by": delivery.requested_by,
                "finished_at": None,
            }
    return values


def rest_values(now: datetime, stopped_by: str | None) -> dict[str, Any]:
    """The columns of a delivery at rest: Held, or Stopped by a person."""
    earlier = func.coalesce(Delivery.prior_status, Delivery.status)
    was_open = earlier.in_([str(status) for status in (*OPEN, DeliveryStatus.HELD)])
    status = DeliveryStatus.STOPPED if stopped_by else DeliveryStatus.HELD
    ended = literal(now, Delivery.finished_at.type)
    return {
        "status": case((was_open, str(status)), else_=earlier),
        "due_at": func.coalesce(Delivery.prior_due_at, Delivery.due_at),
        "priority": case(
            (Delivery.priority == Priority.TEST, int(Priority.TEST)), else_=int(Priority.NORMAL)
        ),
        "stopped_by": case((was_open, stopped_by), else_=Delivery.stopped_by),
        "finished_at": case((was_open, ended if stopped_by else null()), else_=ended),
        "prior_status": None,
        "prior_due_at": None,
        "requested_by": None,
    }
