"""What waits for a later retry while its webhook is well: counted, and sent when a person asks."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select, union_all, update
from sqlalchemy.orm import Session

from portal.models.deliveries import (
    Delivery,
    DeliveryStatus,
    Priority,
    has_no_live_lease,
    is_open,
)
from portal.models.webhooks import Webhook, WebhookState
from portal.services.audit import trail
from portal.services.core import counting
from portal.services.core.counting import capped
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, ring, writing
from portal.services.outbox.due import head_of
from portal.services.outbox.sending_switch import refuse_while_stopped
from portal.services.webhooks.rows import lock_webhook, target_of

# What a receiver that has just recovered gets at once is spread over this, lest it falls again.
SPREAD: Final = timedelta(minutes=1)
SENT: Final = "webhook.waiting_sent"


def waiting_for_later(
    webhook_id: int, now: datetime, status: ColumnElement[str] | None = None
) -> list[ColumnElement[bool]]:
    """Its deliveries that wait for a retry which the schedule has set for later. `status`: in other
    words, where its index should not be used."""
    status = Delivery.status.expression if status is None else status
    return [
        Delivery.webhook_id == webhook_id,
        is_open(),
        status == DeliveryStatus.RETRYING,
        Delivery.due_at > now + SPREAD,
        has_no_live_lease(now),
    ]


def count_waiting(current: Session, webhook: Webhook) -> int:
    """How many a person may send now (`capped`): none while it fails, is off, or sends them."""
    is_well = webhook.state == WebhookState.ACTIVE and not webhook.failures_in_row
    if not is_well or webhook.reopened_at is not None:
        return 0
    # Along the index of what is due, from that time on: what is due sooner is not read.
    status = func.coalesce(Delivery.status, Delivery.status)
    later = select(Delivery.id).where(
        *waiting_for_later(webhook.id, database_time(current), status)
    )
    most = counting.COUNT_LIMIT + 1
    walks = (later.where(Delivery.priority == each).limit(most) for each in Priority)
    every = union_all(*(select(walk.subquery()) for walk in walks)).subquery()
    return capped(current, select(every))


def send_waiting(actor: Actor, public_id: UUID) -> int:
    """Have what waits for a retry go within a minute; return how many. Raises `Refusal`.

    Twice does no harm: the second finds none left, or those of the first on their way.
    """
    with writing() as current:
        require(current, actor, "deliveries.retry")
        webhook = lock_webhook(current, public_id)
        if webhook.state != WebhookState.ACTIVE:
            raise Refusal("This webhook is off. What waits can be sent once it is on.")
        refuse_while_stopped()
        count = count_waiting(current, webhook)
        if count:
            reopen(current.connection(), webhook.id, webhook.in_order, database_time(current))
            changes = {"deliveries": {"from": None, "to": count}}
            trail.record(current, actor, SENT, target=target_of(webhook), changes=changes)
            ring(current)
        return count


def reopen(connection: Connection, webhook_id: int, in_order: bool, now: datetime) -> None:
    """The receiver is well again: what waits for a retry goes soon, in order the head at once."""
    if in_order:
        connection.execute(
            update(Delivery)
            .where(Delivery.id == head_of(webhook_id), Delivery.due_at > now)
            .values(due_at=now)
        )
        return
    connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(reopened_at=now))
