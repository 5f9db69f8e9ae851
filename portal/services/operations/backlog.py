"""How far the sending is behind: what waits, and since when."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, literal, select
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, DeliveryStatus, Priority, has_no_live_lease, is_open
from portal.models.webhooks import Webhook
from portal.services.core.counting import capped
from portal.services.core.unit_of_work import database_time, session
from portal.services.outbox.due import find_wanted


@dataclass(frozen=True, slots=True)
class Backlog:
    """`waiting`, `retrying`: counts (`capped`). `oldest_due_at`: of what could be
    sent this moment and is not, because nobody has picked it up."""

    waiting: int
    retrying: int
    oldest_due_at: datetime | None


def read_backlog() -> Backlog:
    """How things stand now. Reads only, and never the whole backlog."""
    current = session()
    return Backlog(
        waiting=_stored(current, DeliveryStatus.WAITING),
        retrying=_stored(current, DeliveryStatus.RETRYING),
        oldest_due_at=_oldest_due(current, database_time(current)),
    )


def _stored(current: Session, status: DeliveryStatus) -> int:
    return capped(current, select(literal(1)).where(Delivery.status == status))


def _oldest_due(current: Session, now: datetime) -> datetime | None:
    """One probe of the index for each priority of the webhooks that have something due. What such
    a webhook has of other priorities rests, however long ago it was due.

    In order, those behind the first were due long before their turn came: they tell nothing.
    """
    wanted = {
        each.webhook_id: {*each.priorities, *((Priority.TEST,) if each.test_places else ())}
        for each in find_wanted(current.connection()).wanted
    }
    firsts = [_first_due(priority, now) for priority in Priority]
    rows = current.execute(
        select(Webhook.id, *firsts).where(Webhook.id.in_(wanted), Webhook.in_order.is_(False))
    )
    found = (
        due
        for webhook_id, *dues in rows
        for priority, due in zip(Priority, dues, strict=True)
        if due is not None and priority in wanted[webhook_id]
    )
    return min(found, default=None)


def _first_due(priority: Priority, now: datetime) -> ScalarSelect[datetime]:
    return (
        select(Delivery.due_at)
        .where(
            Delivery.webhook_id == Webhook.id,
            is_open(),
            Delivery.priority == priority,
            has_no_live_lease(now),
        )
        .order_by(Delivery.due_at)
        .limit(1)
        .correlate(Webhook)
        .scalar_subquery()
    )
