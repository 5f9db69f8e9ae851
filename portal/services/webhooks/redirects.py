"""Read the target of a receiver's redirect from the recorded response."""

from uuid import UUID

from sqlalchemy import and_, select

from portal.database.engine import AnyRow
from portal.engine.http.address_mask import MASK, may_stand_for
from portal.engine.reasons import Reason
from portal.engine.redirects import PERMANENT, Redirect, shown_target
from portal.models.deliveries import Attempt, AttemptBody, Delivery
from portal.models.webhooks import Webhook, WebhookKind
from portal.services.core.unit_of_work import session
from portal.services.webhooks.rules import url_problem


def redirect_of(
    attempt: Attempt | AnyRow, location: str | None, webhook: Webhook | AnyRow, delivery: UUID
) -> Redirect | None:
    """Return the target of an attempt's redirect, or None if it names none."""
    if attempt.reason != Reason.REDIRECT or not location:
        return None
    return Redirect(
        shown_target(location, is_secret=webhook.url_is_secret),
        attempt.code in PERMANENT,
        _is_usable(location, attempt.url, webhook),
        delivery,
    )


def new_url(webhook: UUID, delivery: UUID) -> str | None:
    """Return the whole URL to which this delivery's last attempt was redirected, for the form.

    Return None if the form would refuse it, or if the webhook's URL has changed since.
    """
    last = and_(Attempt.delivery_id == Delivery.id, Attempt.number == Delivery.attempts)
    query = (
        select(Webhook.kind, Webhook.url, Attempt.url.label("sent_to"), AttemptBody.location)
        .select_from(Delivery)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .join(Attempt, last)
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(
            Webhook.public_id == webhook,
            Delivery.public_id == delivery,
            Attempt.reason == Reason.REDIRECT,
        )
    )
    row = session().execute(query).one_or_none()
    if row is None or not row.location or not _is_usable(row.location, row.sent_to, row):
        return None
    return str(row.location)


def _is_usable(location: str, sent_to: str, webhook: Webhook | AnyRow) -> bool:
    # A masked part was one of our secrets, which isn't stored with the response.
    is_whole = MASK not in location and location != webhook.url
    is_current = webhook.kind != WebhookKind.INBOX and may_stand_for(sent_to, webhook.url)
    return is_whole and is_current and url_problem(location) is None
