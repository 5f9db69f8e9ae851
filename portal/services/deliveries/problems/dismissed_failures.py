"""What was dismissed, by whom and when; and how one failed delivery stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.reasons import Reason, alike
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.models.dismissals import Dismissal
from portal.models.people import User
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.log.attention import LONG_AGO
from portal.services.deliveries.problems.groups import MOST, count_failures

LISTED: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed:
    """What was dismissed last at one webhook for one reason (the first of those that read alike).

    `count` is `capped`; `by` and `at` are None where nobody noted them.
    """

    webhook_id: UUID
    webhook_name: str
    reason: Reason | None
    count: int
    by: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedDelivery:
    """Whether a failed delivery was dismissed, with others; else with how many it can be.

    `count`: those that failed for the same reason and are not dismissed (`capped`). `seen`: when
    that was. `by` and `at` as in `Dismissed`.
    """

    webhook_id: UUID
    reason: Reason | None
    is_dismissed: bool
    count: int
    seen: datetime
    by: str | None = None
    at: datetime | None = None


def dismissed() -> Sequence[Dismissed]:
    """All that was dismissed and is still kept, the last first; at most `LISTED` are looked at."""
    current = session()
    wanted = (
        select(Dismissal, Webhook.public_id, Webhook.name, User.name)
        .join(Webhook, Webhook.id == Dismissal.webhook_id)
        .outerjoin(User, User.id == Dismissal.actor_id)
        .order_by(Dismissal.dismissed_at.desc().nulls_last(), Dismissal.until.desc())
    )
    found: dict[tuple[UUID, Reason | None], Dismissed] = {}
    for row, webhook, name, by in current.execute(wanted.limit(LISTED)).all():
        key = row.reason or None
        tally = count_failures(current, row.webhook_id, key, row.since or LONG_AGO, row.until)
        if not tally.many:
            continue
        reason = alike(Reason(key))[0] if key else None
        before = found.get((webhook, reason))
        each = Dismissed(
            webhook_id=webhook,
            webhook_name=name,
            reason=reason,
            count=tally.many,
            by=by,
            at=row.dismissed_at,
        )
        many = min(MOST, each.count + before.count) if before else each.count
        found[webhook, reason] = replace(before or each, count=many)
    return list(found.values())


def standing_of_failed(public_id: UUID) -> FailedDelivery | None:
    """How a failed delivery stands; None where it has not failed, and of a test."""
    current = session()
    row = current.execute(
        select(Delivery, Webhook.public_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.public_id == public_id)
    ).one_or_none()
    if row is None:
        return None
    delivery, webhook = row
    if delivery.status != DeliveryStatus.FAILED or delivery.priority == Priority.TEST:
        return None
    reason = Reason(delivery.reason) if delivery.reason else None
    stands = FailedDelivery(
        webhook_id=webhook,
        reason=reason,
        is_dismissed=False,
        count=0,
        seen=database_time(current),
    )
    last = current.get(Dismissal, (delivery.webhook_id, delivery.reason or ""))
    ended = delivery.finished_at or delivery.created_at
    if last is None or ended > last.until:
        return replace(stands, count=_alike(current, delivery.webhook_id, reason))
    if last.since is not None and ended <= last.since:
        return replace(stands, is_dismissed=True)
    actor = current.get(User, last.actor_id) if last.actor_id else None
    by = actor.name if actor else None
    return replace(stands, is_dismissed=True, by=by, at=last.dismissed_at)


def _alike(current: Session, webhook_id: int, reason: Reason | None) -> int:
    keys = [str(each) for each in alike(reason)] if reason else [None]
    many = 0
    for key in keys:
        last = current.get(Dismissal, (webhook_id, key or ""))
        since = last.until if last else LONG_AGO
        many += count_failures(current, webhook_id, key, since).many
    return min(MOST, many)
