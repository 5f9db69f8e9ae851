"""Who will hear of an event, told before a person brings it about."""

from typing import NamedTuple

from sqlalchemy import func, select

from portal.engine.events.names import EventName
from portal.models.webhooks import Webhook, WebhookEvent, WebhookState
from portal.services.core.unit_of_work import session


class Listeners(NamedTuple):
    """How many webhooks hear of something: `on` at once, `off` once they are turned on."""

    on: int
    off: int


def count_listeners(*events: EventName) -> Listeners:
    """How many webhooks asked for one of these events."""
    one = Webhook.id.distinct()
    wanted = (
        select(
            func.count(one).filter(Webhook.state == WebhookState.ACTIVE),
            func.count(one).filter(Webhook.state == WebhookState.OFF),
        )
        .select_from(Webhook)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(WebhookEvent.event.in_(events), Webhook.deleted_at.is_(None))
    )
    on, off = session().execute(wanted).one()
    return Listeners(on, off)
