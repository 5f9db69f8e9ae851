"""Dismiss: what failed stays Failed, and is no problem any more."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.reasons import Reason, alike, title
from portal.models.dismissals import Dismissal
from portal.models.webhooks import Webhook, WebhookState
from portal.services.audit import trail
from portal.services.core.counting import COUNT_LIMIT
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, writing
from portal.services.deliveries.log.attention import LONG_AGO
from portal.services.deliveries.problems.groups import count_failures

PERMISSION: Final = "deliveries.dismiss"
OVER: Final = "There is nothing to dismiss: this is resolved, or somebody has dismissed it already."


def dismiss(actor: Actor, webhook: UUID, reason: Reason | None, seen: datetime) -> int:
    """Dismiss what failed for good there for this reason, or one that reads the same.

    `seen`: when the last of those failed that the person saw; what failed later stays a problem.
    Returns how many there were (`capped`). Raises `Refusal`.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        hook = _lock(current, webhook)
        until = min(seen, database_time(current))
        keys = [str(each) for each in alike(reason)] if reason else [None]
        count = sum(_dismiss(current, hook.id, each, until) for each in keys)
        if not count:
            raise Refusal(OVER)
        words = title(reason) if reason else "None"
        told = {"reason": words, "failed_deliveries": min(count, COUNT_LIMIT + 1)}
        trail.record(
            current,
            actor,
            "webhook.problem_dismissed",
            target=("webhook", hook.public_id, hook.name),
            changes={name: {"from": None, "to": value} for name, value in told.items()},
        )
        return min(count, COUNT_LIMIT + 1)


def _dismiss(current: Session, webhook_id: int, reason: str | None, until: datetime) -> int:
    before = current.get(Dismissal, (webhook_id, reason or ""))
    since = before.until if before else LONG_AGO
    found = count_failures(current, webhook_id, reason, since, until)
    if not found.many:
        return 0
    if before:
        before.until = until
    else:
        current.add(Dismissal(webhook_id=webhook_id, reason=reason or "", until=until))
    return int(found.many)


def _lock(current: Session, public_id: UUID) -> Webhook:
    """Also of one that was deleted: what failed there is still in the log."""
    wanted = select(Webhook).where(
        Webhook.public_id == public_id, Webhook.state != WebhookState.DRAFT
    )
    locked = wanted.with_for_update(key_share=True)
    webhook = current.scalars(locked.execution_options(populate_existing=True)).one_or_none()
    if webhook is None:
        raise NotFound("There is no such webhook, or what was sent to it is no longer kept.")
    return webhook
