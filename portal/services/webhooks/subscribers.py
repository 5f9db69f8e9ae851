"""Who will hear of an event, told before a person brings it about."""

from sqlalchemy import func, select

from portal.engine.events.names import EventName
from portal.models.webhooks import Webhook, WebhookEvent, WebhookState
from portal.services.core.unit_of_work import session


def count_listeners(*events: EventName) -> int:
    """How many active webhooks asked for one of these events."""
    wanted = (
        select(func.count(Webhook.id.distinct()))
        .select_from(Webhook)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(
            WebhookEvent.event.in_(events),
            Webhook.state == WebhookState.ACTIVE,
            Webhook.deleted_at.is_(None),
        )
    )
    return session().execute(wanted).scalar_one()
