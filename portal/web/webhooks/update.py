"""The update to share about a whole webhook."""

from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import WebhookDetail
from portal.web.deliveries.share import Trouble, update_to_share
from portal.web.frame.wording import plural


def update_of(webhook: WebhookDetail) -> str:
    """Return what to tell the receiver's team of a webhook in trouble; blank where nothing."""
    backlog = webhook.backlog
    if backlog is None or backlog.since is None or backlog.cause is None:
        return ""
    examples = webhook_queries.last_failures(backlog)
    if not examples:
        return ""
    cause, many = backlog.cause, backlog.undelivered
    return update_to_share(
        Trouble(
            what=plural(many, "delivery", "deliveries"),
            is_one=many == 1,
            url=webhook.url,
            reason=cause.reason,
            code=cause.code,
            first=backlog.since,
            last=examples[0].at,
            ids=[each.public_id for each in examples],
            is_untouched=backlog.is_untouched,
            is_retried=backlog.next_attempt_at is not None,
        )
    )
