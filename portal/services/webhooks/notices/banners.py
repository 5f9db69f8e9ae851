"""Which webhooks are in trouble, for the pages of their owner and of every administrator."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import and_, or_, select

from portal.database.engine import database_now
from portal.engine.health import ATTENTION_FAILURES, needs_attention
from portal.models.webhooks import OffReason, Webhook, WebhookState
from portal.services.core.unit_of_work import session
from portal.services.webhooks.notices.emails import News

OURS: Final = (OffReason.FAILING, OffReason.GONE)


@dataclass(frozen=True, slots=True)
class WebhookTrouble:
    """One webhook that needs a person. `news`: ATTENTION, or OFF when we turned it off, for
    `off_reason`.
    """

    webhook: UUID
    name: str
    news: News
    since: datetime
    off_reason: OffReason | None = None

    @property
    def mark(self) -> str:
        """Tells this trouble from an earlier or later one of the same webhook."""
        return f"{self.webhook}/{int(self.since.timestamp())}"


def troubles(owner_id: int | None = None) -> list[WebhookTrouble]:
    """What is in trouble now, by name; with an owner, of that person's webhooks alone."""
    current = session()
    fails = and_(
        Webhook.state == WebhookState.ACTIVE, Webhook.failures_in_row >= ATTENTION_FAILURES
    )
    is_off = and_(Webhook.state == WebhookState.OFF, Webhook.off_reason.in_(OURS))
    wanted = select(Webhook).where(Webhook.deleted_at.is_(None), or_(fails, is_off))
    if owner_id is not None:
        wanted = wanted.where(Webhook.owner_id == owner_id)
    rows = current.scalars(wanted.order_by(Webhook.name, Webhook.id)).all()
    now = database_now(current.connection()) if rows else None
    found = (_trouble(row, now) for row in rows if now is not None)
    return [each for each in found if each is not None]


def _trouble(webhook: Webhook, now: datetime) -> WebhookTrouble | None:
    if webhook.state == WebhookState.OFF:
        since = webhook.off_at or webhook.updated_at
        reason = OffReason(webhook.off_reason) if webhook.off_reason else None
        return WebhookTrouble(webhook.public_id, webhook.name, News.OFF, since, reason)
    since_first = webhook.failing_since
    if since_first is None or not needs_attention(webhook.failures_in_row, since_first, now):
        return None
    return WebhookTrouble(webhook.public_id, webhook.name, News.ATTENTION, since_first)
