"""How many deliveries of one webhook have a status, at the same cost however many wait for it."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, is_open
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core import counting
from portal.services.core.counting import capped
from portal.services.deliveries.log.attention import nobody_sends
from portal.services.deliveries.log.filters import StatusFilter
from portal.services.deliveries.log.statuses import of_status

# What a pause takes from two of them, and gives to the third.
PAUSABLE: Final = (StatusFilter.WAITING, StatusFilter.RETRYING, StatusFilter.PAUSED)


def count_of_webhook(current: Session, status: StatusFilter, webhook: UUID, now: datetime) -> int:
    """How many (`capped`). While it is paused or wants them in order, each has to be looked at: the
    oldest that are open, up to twice the limit. `now`: the database's clock."""
    columns = (Webhook.id, Webhook.state, Webhook.not_before, Webhook.in_order)
    hook = current.execute(select(*columns).where(Webhook.public_id == webhook)).one_or_none()
    if hook is None or hook.state == WebhookState.DRAFT:
        return 0
    mine = Delivery.webhook_id == hook.id
    if status not in PAUSABLE:
        return capped(current, select(literal(1)).where(mine, *of_status(status, now)))
    if not hook.in_order and (hook.not_before is None or hook.not_before <= now):
        if status is StatusFilter.PAUSED:
            return 0
        of_it = (mine, Delivery.status == status, nobody_sends(now))
        return capped(current, select(literal(1)).where(*of_it))
    oldest = select(Delivery.id).where(mine, is_open()).order_by(Delivery.id)
    some = Delivery.id.in_(oldest.limit(2 * (counting.COUNT_LIMIT + 1)))
    return capped(current, select(literal(1)).where(some, *of_status(status, now)))
