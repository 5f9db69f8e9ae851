"""How what people see as a status is stored, and what else makes it one."""

from datetime import datetime

from sqlalchemy import ColumnElement, not_, select
from sqlalchemy.orm import Session

from portal.models.deliveries import OPEN, Delivery, DeliveryStatus, Lease, Priority, is_open
from portal.services.deliveries.log.attention import nobody_sends, paused_webhooks, wants_attention
from portal.services.deliveries.log.filters import StatusFilter
from portal.services.deliveries.log.walk import matches
from portal.services.outbox.next_try import is_paused

Stored = DeliveryStatus | tuple[DeliveryStatus, ...]


def of_status(status: StatusFilter, now: datetime) -> list[ColumnElement[bool]]:
    """What makes a delivery one of this status, as a condition by itself."""
    stored, others = stored_as(status, now)
    return [*others, *([matches(Delivery.status, stored)] if stored is not None else [])]


def to_look_at(current: Session, now: datetime, webhook_id: int | None) -> Stored:
    """Where what needs attention is found. What waits does so only while a receiver is left alone:
    else it may be a million that nobody has to look at."""
    waits = (DeliveryStatus.WAITING,) if paused_webhooks(current, now, webhook_id) else ()
    return (DeliveryStatus.FAILED, *waits, DeliveryStatus.RETRYING)


def stored_as(
    status: StatusFilter | None, now: datetime
) -> tuple[Stored | None, list[ColumnElement[bool]]]:
    """The stored status to walk along, or several, and what else makes it what people see."""
    match status:
        case None:
            return None, []
        case StatusFilter.ATTENTION:
            return (DeliveryStatus.FAILED, *OPEN), [wants_attention(now)]
        case StatusFilter.DISMISSED:
            return DeliveryStatus.FAILED, [Delivery.priority != Priority.TEST]
        case StatusFilter.PAUSED:
            return OPEN, [nobody_sends(now), is_paused(now)]
        case StatusFilter.SENDING:
            leased = select(Lease.delivery_id).where(Lease.until > now)
            return None, [Delivery.id.in_(leased), is_open()]
        case StatusFilter.WAITING | StatusFilter.RETRYING:
            return DeliveryStatus(status), [nobody_sends(now), not_(is_paused(now))]
        case _:
            return DeliveryStatus(status), []
