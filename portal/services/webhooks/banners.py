"""Choose what the banner above every page says of webhooks."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from portal.database.engine import database_now
from portal.engine.health import needs_attention
from portal.models.webhooks import OffReason, Webhook, WebhookState
from portal.services.core.unit_of_work import session
from portal.services.webhooks.notices import News
from portal.services.webhooks.rows import is_shown
from portal.services.webhooks.summary import is_in_need


@dataclass(frozen=True, slots=True)
class WebhookTrouble:
    """One webhook that needs a person. `news`: ATTENTION, or OFF when we turned it off, for
    `off_reason`. `is_urgent`: its owner is told, too; until then it may pass.
    """

    webhook: UUID
    name: str
    news: News
    since: datetime
    off_reason: OffReason | None = None
    is_urgent: bool = True

    @property
    def mark(self) -> str:
        """Tells this trouble from an earlier or later one of the same webhook."""
        return f"{self.webhook}/{int(self.since.timestamp())}"


def troubles(owner_id: int | None = None) -> list[WebhookTrouble]:
    """What needs attention now, by name; with an owner, of that person's webhooks alone."""
    current = session()
    wanted = select(Webhook).where(*is_shown(), is_in_need())
    if owner_id is not None:
        wanted = wanted.where(Webhook.owner_id == owner_id)
    rows = current.scalars(wanted.order_by(Webhook.name, Webhook.id)).all()
    now = database_now(current.connection()) if rows else None
    return [_trouble(row, now) for row in rows if now is not None]


def _trouble(webhook: Webhook, now: datetime) -> WebhookTrouble:
    if webhook.state == WebhookState.OFF:
        since = webhook.off_at or webhook.updated_at
        reason = OffReason(webhook.off_reason) if webhook.off_reason else None
        return WebhookTrouble(webhook.public_id, webhook.name, News.OFF, since, reason)
    since = webhook.failing_since or webhook.updated_at
    is_urgent = needs_attention(webhook.failures_in_row, webhook.failing_since, now)
    return WebhookTrouble(
        webhook.public_id, webhook.name, News.ATTENTION, since, is_urgent=is_urgent
    )
