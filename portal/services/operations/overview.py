"""Count the progress and the problems that the start page shows."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from portal.models.assets import Asset
from portal.models.deliveries import Attempt, Delivery, is_failed_attempt
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.services.core.queries import capped
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import StatusFilter
from portal.services.webhooks.rows import draft_ids

# A response within this time shows that this server reaches receivers.
LATELY: Final = timedelta(hours=1)
MOST_READ: Final = 10_000  # failed attempts, the newest


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts (`capped`) that equal those of their lists."""

    webhooks_on: int
    assets: int
    queued: int
    retrying: int
    held: int
    has_deliveries: bool


def overview() -> Overview:
    current = session()
    active = Webhook.deleted_at.is_(None), Webhook.state == WebhookState.ACTIVE
    return Overview(
        webhooks_on=capped(current, select(Webhook.id).where(*active)),
        assets=capped(current, select(Asset.id).where(Asset.deleted_at.is_(None))),
        queued=log_pages.count(StatusFilter.QUEUED),
        retrying=log_pages.count(StatusFilter.RETRYING),
        held=log_pages.count(StatusFilter.ON_HOLD),
        has_deliveries=_has_deliveries(),
    )


def _has_deliveries() -> bool:
    """Return whether the log has a row. It has no tests from before a webhook was saved."""
    current = session()
    listed = select(Delivery.id).where(Delivery.webhook_id.not_in(draft_ids(current))).limit(1)
    return current.execute(listed).first() is not None


def count_reached(apart: Collection[int]) -> int:
    """Count the webhooks of receivers that lately got a delivery, without these row ids."""
    current = session()
    reached = select(Webhook.id).where(
        Webhook.last_delivered_at > database_time(current) - LATELY,
        Webhook.state == WebhookState.ACTIVE,
        Webhook.deleted_at.is_(None),
        Webhook.kind == WebhookKind.HTTP,
    )
    return sum(id_ not in apart for id_ in current.scalars(reached))


def has_response(apart: Collection[int]) -> bool:
    """Return whether a receiver lately responded with an error, except for these row ids."""
    current = session()
    newest = (
        select(Attempt.delivery_id, Attempt.code)
        .where(is_failed_attempt(), Attempt.finished_at > database_time(current) - LATELY)
        .order_by(Attempt.finished_at.desc())
        .limit(MOST_READ)
        .subquery()
    )
    answered = (
        select(Delivery.id)
        .join(newest, newest.c.delivery_id == Delivery.id)
        .where(newest.c.code.is_not(None), Delivery.webhook_id.not_in(apart))
        .limit(1)
    )
    return current.execute(answered).first() is not None
