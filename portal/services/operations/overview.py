"""What the start page says: how far the portal has come, and what wants a look."""

from dataclasses import dataclass

from sqlalchemy import Select, select

from portal.models.assets import Asset
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.counting import capped
from portal.services.core.unit_of_work import session
from portal.services.deliveries.log import pages as log_pages
from portal.services.webhooks.draft_rows import draft_ids


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts (`capped`). Tests are not among `failed`."""

    webhooks_on: int
    webhooks_off: int
    assets: int
    failed: int
    retrying: int
    held: int
    has_deliveries: bool

    @property
    def webhooks(self) -> int:
        """All webhooks, on and off."""
        return self.webhooks_on + self.webhooks_off


def overview() -> Overview:
    """Count what there is now."""
    current = session()
    hooks = select(Webhook.id).where(Webhook.deleted_at.is_(None))
    return Overview(
        webhooks_on=capped(current, hooks.where(Webhook.state == WebhookState.ACTIVE)),
        webhooks_off=capped(current, hooks.where(Webhook.state == WebhookState.OFF)),
        assets=capped(current, select(Asset.id).where(Asset.deleted_at.is_(None))),
        failed=log_pages.count_failed(),
        retrying=capped(current, _with_status(DeliveryStatus.RETRYING)),
        held=capped(current, _with_status(DeliveryStatus.HELD)),
        has_deliveries=_has_deliveries(),
    )


def _has_deliveries() -> bool:
    """Whether the log has a line; tests before saving are not in it."""
    current = session()
    listed = select(Delivery.id).where(Delivery.webhook_id.not_in(draft_ids(current))).limit(1)
    return current.execute(listed).first() is not None


def _with_status(status: DeliveryStatus) -> Select[int]:
    return select(Delivery.id).where(Delivery.status == status)
