"""What the start page says: how far the portal has come, and what wants a look."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Select, func, select

from portal.models.assets import Asset
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.unit_of_work import session
from portal.services.deliveries.log import pages as log_pages
from portal.services.webhooks.draft_rows import draft_ids

# Counting further than this costs time and tells nobody more.
COUNTED_TO: Final = 10_000


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts up to `COUNTED_TO`; one more means "more than that". Tests are not among `failed`."""

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
    hooks = select(Webhook.id).where(Webhook.deleted_at.is_(None))
    return Overview(
        webhooks_on=_counted(hooks.where(Webhook.state == WebhookState.ACTIVE)),
        webhooks_off=_counted(hooks.where(Webhook.state == WebhookState.OFF)),
        assets=_counted(select(Asset.id).where(Asset.deleted_at.is_(None))),
        failed=log_pages.count_attention(),
        retrying=_counted(_with_status(DeliveryStatus.RETRYING)),
        held=_counted(_with_status(DeliveryStatus.HELD)),
        has_deliveries=_has_deliveries(),
    )


def _has_deliveries() -> bool:
    """Whether the log has a line; tests before saving are not in it."""
    current = session()
    listed = select(Delivery.id).where(Delivery.webhook_id.not_in(draft_ids(current))).limit(1)
    return current.execute(listed).first() is not None


def _with_status(status: DeliveryStatus) -> Select[int]:
    return select(Delivery.id).where(Delivery.status == status)


def _counted(rows: Select[int]) -> int:
    some = rows.limit(COUNTED_TO + 1).subquery()
    return session().execute(select(func.count()).select_from(some)).scalar_one()
