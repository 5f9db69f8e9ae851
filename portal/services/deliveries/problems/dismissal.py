"""Dismiss: what failed stays Failed, and is no problem any more, until it is brought back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal.engine.reasons import Reason, alike, title
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.models.dismissals import Dismissal, DismissedDelivery
from portal.models.people import User
from portal.models.webhooks import Webhook, WebhookState
from portal.services.audit import trail
from portal.services.core.counting import COUNT_LIMIT
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, writing
from portal.services.deliveries.log.attention import LONG_AGO, is_undismissed
from portal.services.deliveries.log.marks import holds, is_unmarked, marks
from portal.services.deliveries.problems.groups import count_failures
from portal.services.deliveries.queued_rows import count_queued

PERMISSION: Final = "deliveries.dismiss"
BACK: Final = "There is nothing to bring back: somebody has done it, or it is no longer kept."
OVER: Final = "There is nothing to dismiss: this is resolved, or somebody has dismissed it already."


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """How many were dismissed (`capped`); of which so many are still sent in a bulk retry."""

    count: int
    in_bulk_retry: int


def dismiss(actor: Actor, webhook: UUID, reason: Reason | None, seen: datetime) -> ProblemCount:
    """Dismiss what failed for good there for this reason, or one that reads the same.

    `seen`: when the last of those failed that the person saw; what failed later stays a problem.
    Raises `Refusal`.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        hook = _lock(current, webhook)
        until = min(seen, database_time(current))
        queued = sum(_count_queued(current, hook.id, each, until) for each in _keys(reason))
        count = sum(_dismiss(current, hook.id, each, until, actor) for each in _keys(reason))
        if not count:
            raise Refusal(OVER)
        many = _record(current, actor, hook, "webhook.problem_dismissed", reason, count)
        return ProblemCount(many, queued)


def bring_back(actor: Actor, webhook: UUID, reason: Reason | None) -> int:
    """List what was dismissed there last for this reason as a problem again; what was chosen by
    itself stays dismissed.

    Returns how many there are (`capped`). Raises `Refusal`.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        hook = _lock(current, webhook)
        counts = [_bring_back(current, hook.id, each) for each in _keys(reason)]
        found = [each for each in counts if each is not None]
        if not found:
            raise Refusal(BACK)
        return _record(current, actor, hook, "webhook.problem_brought_back", reason, sum(found))


def bring_back_chosen_by(
    actor: Actor, webhook: UUID, reason: Reason | None, by: UUID | None
) -> int:
    """The same of what one person has chosen there by itself. `by`: None where nobody was noted."""
    with writing() as current:
        require(current, actor, PERMISSION)
        hook = _lock(current, webhook)
        who = current.scalar(select(User.id).where(User.public_id == by)) if by else None
        is_known = by is None or who is not None
        count = sum(_unmark(current, hook.id, each, who) for each in _keys(reason) if is_known)
        if not count:
            raise Refusal(BACK)
        return _record(current, actor, hook, "webhook.problem_brought_back", reason, count)


def _keys(reason: Reason | None) -> list[str | None]:
    """The reason, and those that read the same."""
    return [str(each) for each in alike(reason)] if reason else [None]


def _record(
    current: Session, actor: Actor, hook: Webhook, action: str, reason: Reason | None, count: int
) -> int:
    told = {"reason": title(reason) if reason else "None", "failed_deliveries": _capped(count)}
    trail.record(
        current,
        actor,
        action,
        target=("webhook", hook.public_id, hook.name),
        changes={name: {"from": None, "to": value} for name, value in told.items()},
    )
    return _capped(count)


def _capped(count: int) -> int:
    return min(count, COUNT_LIMIT + 1)


def _dismiss(
    current: Session, webhook_id: int, reason: str | None, until: datetime, actor: Actor
) -> int:
    row = current.get(Dismissal, (webhook_id, reason or ""))
    since = row.until if row else LONG_AGO
    found = count_failures(current, webhook_id, reason, since, until, without_marked=True)
    if not found.many:
        return 0
    if row is None:
        row = Dismissal(webhook_id=webhook_id, reason=reason or "")
        current.add(row)
    else:
        row.since = row.until
    row.until, row.dismissed_at, row.actor_id = until, database_time(current), actor.user_id
    return int(found.many)


def _count_queued(current: Session, webhook_id: int, reason: str | None, until: datetime) -> int:
    is_one = Delivery.reason == reason if reason else Delivery.reason.is_(None)
    is_failed = Delivery.status == DeliveryStatus.FAILED, Delivery.priority != Priority.TEST
    is_listed = Delivery.finished_at <= until, is_undismissed(Delivery), is_unmarked(Delivery)
    return count_queued(current, webhook_id, is_one, *is_failed, *is_listed)


def _bring_back(current: Session, webhook_id: int, reason: str | None) -> int | None:
    """How many are problems again; None where nothing was dismissed."""
    row = current.get(Dismissal, (webhook_id, reason or ""))
    if row is None:
        return None
    since = row.since or LONG_AGO
    found = count_failures(current, webhook_id, reason, since, row.until, without_marked=True)
    if row.since is None:
        current.delete(row)
    else:
        # Who dismissed those before is in the audit trail alone.
        row.until, row.since, row.dismissed_at, row.actor_id = row.since, None, None, None
    return int(found.many)


def _unmark(current: Session, webhook_id: int, reason: str | None, who: int | None) -> int:
    """Take a person's marks away; how many of them alone dismissed what they stand at."""
    each, row = marks(), current.get(Dismissal, (webhook_id, reason or ""))
    mine = (
        each.c.webhook_id == webhook_id,
        each.c.reason == (reason or ""),
        each.c.actor_id.is_not_distinct_from(who),
    )
    counted = holds(each), each.c.ended_at > (row.until if row else LONG_AGO)
    many = current.execute(select(func.count()).select_from(each).where(*mine, *counted))
    count = many.scalar_one()
    ids = select(each.c.delivery_id).where(*mine)
    current.execute(delete(DismissedDelivery).where(DismissedDelivery.delivery_id.in_(ids)))
    return count


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
