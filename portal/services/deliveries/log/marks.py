"""Failed deliveries that a person has dismissed one by one: what their marks say.

There are few of them, and they are read from the marks to the deliveries, each by its id: where
there is none, nothing of the log is read.
"""

from typing import Any

from sqlalchemy import ColumnElement, Subquery, func, literal, or_, select
from sqlalchemy.orm import Session

from portal.database.engine import UtcDateTime
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.dismissals import DismissedDelivery
from portal.services.deliveries.log.attention import LONG_AGO


def marked(current: Session) -> frozenset[tuple[int, str]]:
    """(webhook, reason or blank) of all that bear a mark, whether it holds or not."""
    each = marks()
    wanted = select(each.c.webhook_id, each.c.reason).distinct()
    return frozenset((row.webhook_id, row.reason) for row in current.execute(wanted))


def is_marked(current: Session, webhook_id: int | None = None) -> bool:
    """Whether any delivery bears a mark, of one webhook if given."""
    found = marked(current)
    return bool(found) if webhook_id is None else any(owner == webhook_id for owner, _ in found)


def marks() -> Subquery:
    """Each mark with its delivery: `reason` (blank for none), `status`, and `ended_at`."""
    ended = func.coalesce(Delivery.finished_at, Delivery.created_at, type_=UtcDateTime())
    return (
        select(
            DismissedDelivery.delivery_id,
            DismissedDelivery.at,
            DismissedDelivery.actor_id,
            Delivery.webhook_id,
            func.coalesce(Delivery.reason, "").label("reason"),
            Delivery.status,
            ended.label("ended_at"),
        )
        .outerjoin(Delivery, Delivery.id == DismissedDelivery.delivery_id)
        # No planner turns it round, nor looks into it: it would begin at the deliveries.
        .offset(0)
        .subquery("marks")
    )


def holds(each: Subquery) -> ColumnElement[bool]:
    """Whether a mark still dismisses its delivery: it has not ended later. `each`: `marks`."""
    failed: ColumnElement[bool] = each.c.status == DeliveryStatus.FAILED
    return failed & (each.c.at >= each.c.ended_at)


def marked_until(row: Any) -> ColumnElement[Any]:
    """When a delivery was marked last; long ago where it never was."""
    at = (
        select(DismissedDelivery.at)
        .where(DismissedDelivery.delivery_id == row.id)
        .scalar_subquery()
    )
    return func.coalesce(at, literal(LONG_AGO, UtcDateTime()))


def is_unmarked(row: Any) -> ColumnElement[bool]:
    """It has not failed, or later than a person dismissed it by itself. `row`: a delivery."""
    ended = func.coalesce(row.finished_at, row.created_at)
    return or_(row.status != DeliveryStatus.FAILED, ended > marked_until(row))
