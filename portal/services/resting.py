"""What is written when a delivery is put to rest: held, or stopped in somebody's name."""

from datetime import datetime
from typing import Any

from sqlalchemy import case, func, literal, null

from portal.models.deliveries import OPEN, Delivery, DeliveryStatus, Priority


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
        "lease_token": None,
        "lease_until": None,
    }
