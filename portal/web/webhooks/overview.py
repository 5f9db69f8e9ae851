"""What the page of one webhook tells beside its facts: what is under way, and who did what."""

from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from flask import request, url_for

from portal.lib.clock import utcnow
from portal.lib.durations import in_words
from portal.models.webhooks import OffReason
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import StatusFilter
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import WebhookDetail
from portal.web.deliveries.forms import status_words
from portal.web.deliveries.place.list_place import delivery_url
from portal.web.deliveries.rows.retried_row import here
from portal.web.frame.access import actor, can
from portal.web.frame.wording import counted, near_day
from portal.web.webhooks.history import failures_began

UNDER_WAY: Final = (
    StatusFilter.WAITING,
    StatusFilter.RETRYING,
    StatusFilter.PAUSED,
    StatusFilter.HELD,
)


def log_path(webhook: UUID, **narrowed: str) -> str:
    """The log of one webhook (the address is stable)."""
    return f"{request.script_root}/deliveries?{urlencode({'webhook': webhook, **narrowed})}"


def address_of(webhook: WebhookDetail) -> str:
    """Whole for those who may edit it, and without what is secret for everybody else."""
    is_whole = can("webhooks.edit") and not webhook.is_inbox
    return webhook_queries.address(webhook.public_id) if is_whole else webhook.url


def figures_of(webhook: WebhookDetail) -> list[tuple[str, str, str, datetime | None]]:
    """What is under way for it: a number, its word, and where the deliveries are; then how long
    the oldest has waited, and since when it is off, each with its time."""
    figures: list[tuple[str, str, str, datetime | None]] = [
        (
            counted(log_pages.count(each, webhook.public_id)),
            status_words(each).lower(),
            log_path(webhook.public_id, status=each),
            None,
        )
        for each in UNDER_WAY
    ]
    if oldest := webhook.oldest_open:
        length = in_words(max(0.0, (utcnow() - oldest.created_at).total_seconds()))
        where = delivery_url(oldest.public_id, here())
        figures.append((length, "oldest not delivered", where, oldest.created_at))
    if webhook.off_at and not webhook.is_active:
        where = url_for("webhooks.history", public_id=webhook.public_id)
        figures.append((near_day(webhook.off_at), "off since", where, webhook.off_at))
    return figures


def began(webhook: WebhookDetail) -> str:
    """What was changed shortly before it began to fail."""
    if webhook.failing_since is None:
        return ""
    return failures_began(webhook.failing_since, webhook_queries.history(webhook.public_id))


def off_by(webhook: WebhookDetail) -> str:
    """Which person turned it off; blank where none did, or it is long ago."""
    if webhook.is_active or webhook.off_reason not in (None, OffReason.PERSON):
        return ""
    past = webhook_queries.history(webhook.public_id)
    return next((each.by for each in past if each.action == "webhook.turned_off"), "")


def shows_secret(webhook: WebhookDetail) -> bool:
    """Whether this person made the secret and may still see it."""
    until = webhook.secret_shown_until
    is_maker = webhook.secret_made_by_id == actor().user_id
    return bool(webhook.has_secret and is_maker and until and until > utcnow())
