"""Count what the start page says: how far the portal has come, and what wants a look."""

from dataclasses import dataclass

from sqlalchemy import select

from portal.models.assets import Asset
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.queries import capped
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import StatusFilter
from portal.services.webhooks.rows import draft_ids


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts (`capped`), each as its list counts it."""

    webhooks_on: int
    webhooks_off: int
    assets: int
    queued: int
    retrying: int
    held: int
    has_deliveries: bool


def overview() -> Overview:
    """Count what there is now."""
    current = session()
    hooks = select(Webhook.id).where(Webhook.deleted_at.is_(None))
    return Overview(
        webhooks_on=capped(current, hooks.where(Webhook.state == WebhookState.ACTIVE)),
        webhooks_off=capped(current, hooks.where(Webhook.state == WebhookState.OFF)),
        assets=capped(current, select(Asset.id).where(Asset.deleted_at.is_(None))),
        queued=log_pages.count(StatusFilter.QUEUED),
        retrying=log_pages.count(StatusFilter.RETRYING),
        held=log_pages.count(StatusFilter.ON_HOLD),
        has_deliveries=_has_deliveries(),
    )


def _has_deliveries() -> bool:
    """Return whether the log has a line; tests before saving are not in it."""
    current = session()
    listed = select(Delivery.id).where(Delivery.webhook_id.not_in(draft_ids(current))).limit(1)
    return current.execute(listed).first() is not None
