"""Test a webhook with a real, signed sample that is sent the usual way."""

from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.lib.ids import public_id as new_public_id
from portal.models.deliveries import Delivery, Event, Priority, is_open
from portal.models.webhooks import Webhook
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, notify, writing
from portal.services.outbox.claimable import refuse_while_stopped
from portal.services.webhooks.rows import events_of, lock_webhook, refuse_undecryptable
from portal.services.webhooks.rules import EVENT_VALUES, subscribed_to


class TestUnderWay(Refusal):
    """A refusal of a second test at the same time. `delivery`: the public id of the first."""

    __test__ = False  # not a test case, despite its name

    def __init__(self, delivery: UUID) -> None:
        super().__init__("A test is in progress. Wait until it finishes, then send another.")
        self.delivery = delivery


def send_test(actor: Actor, public_id: UUID, event: str | None = None) -> UUID:
    """Queue a test of one event, by default the first that the webhook is subscribed to.

    Works while the webhook is off. Returns the delivery's public id. Raises `TestUnderWay` and
    `SendingStopped`.
    """
    with writing() as current:
        require(current, actor, "webhooks.test")
        webhook = lock_webhook(current, public_id)
        running = running_test(current, webhook.id)
        if running is not None:
            raise TestUnderWay(running)
        return queue_test(current, webhook, _chosen(webhook, event), actor)


def event_to_test(event: str) -> EventName:
    """Return the event of this name. Raises `Refusal`."""
    if event not in EVENT_VALUES:
        raise Refusal("Choose an event from the list", field="event")
    return EventName(event)


def _chosen(webhook: Webhook, event: str | None) -> EventName:
    if event is None:
        return EventName(next(iter(subscribed_to(events_of(webhook))), EVENT_VALUES[0]))
    return event_to_test(event)


def running_test(current: Session, webhook_id: int) -> UUID | None:
    """Return the public id of the webhook's unfinished test, if any."""
    under_way = (
        select(Delivery.public_id)
        .where(Delivery.webhook_id == webhook_id, is_open(), Delivery.priority == Priority.TEST)
        .limit(1)
    )
    return current.execute(under_way).scalar_one_or_none()


def queue_test(current: Session, webhook: Webhook, event: EventName, actor: Actor) -> UUID:
    """Store a sample as an event without an asset, send it, and return its delivery's public id.

    Raises `SendingStopped` and `UndecryptableSecrets`.
    """
    refuse_while_stopped()
    refuse_undecryptable(webhook)
    now = common_now()
    body = sample_body(event, occurred_at=now, source=settings().webhook_source, test=True)
    stored = Event(event=event, asset_id=None, occurred_at=now, body=body, is_test=True)
    current.add(stored)
    current.flush()
    delivery = new_public_id()
    current.execute(
        insert(Delivery).values(
            public_id=delivery,
            event_id=stored.id,
            webhook_id=webhook.id,
            event=event,
            priority=Priority.TEST,
            due_at=database_time(current),
            requested_by=actor.name,
        )
    )
    notify(current)
    return delivery
