"""The other deliveries of an event: to whom else it went, and how they stand."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.unit_of_work import database_time, session
from portal.services.outbox.next_try import seen_statuses
from portal.services.outbox.status import ShownStatus

MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Sibling:
    """The same event on its way to another webhook."""

    public_id: UUID
    webhook_name: str
    status: ShownStatus


@dataclass(frozen=True, slots=True)
class Siblings:
    """At most `MOST_SHOWN`, what has arrived last, by the names of their webhooks; `more`: how many
    are left out."""

    rows: tuple[Sibling, ...] = ()
    more: int = 0


def siblings_of(public_id: UUID) -> Siblings:
    """The deliveries of the same event to other webhooks. Reads only."""
    current = session()
    event = select(Delivery.event_id).where(Delivery.public_id == public_id).scalar_subquery()
    arrived = Delivery.status == DeliveryStatus.DELIVERED
    wanted = (
        select(Delivery, Webhook)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.event_id == event,
            Delivery.public_id != public_id,
            Webhook.state != WebhookState.DRAFT,
        )
        .order_by(arrived, func.lower(Webhook.name), Delivery.id)
    )
    total = current.scalar(select(func.count()).select_from(wanted.order_by(None).subquery())) or 0
    found = [(row[0], row[1]) for row in current.execute(wanted.limit(MOST_SHOWN))]
    statuses = seen_statuses(current, found, database_time(current))
    rows = tuple(Sibling(each.public_id, hook.name, statuses[each.id]) for each, hook in found)
    return Siblings(rows, total - len(rows))
