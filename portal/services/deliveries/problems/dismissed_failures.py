"""What was dismissed, by whom and when; and how one failed delivery stands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, func, literal, select
from sqlalchemy.orm import Session

from portal.database.engine import UtcDateTime
from portal.engine.reasons import Reason, alike
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.models.dismissals import Dismissal, DismissedDelivery
from portal.models.people import User
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.log.attention import LONG_AGO
from portal.services.deliveries.log.marks import holds, marks
from portal.services.deliveries.problems.groups import MOST, count_failures

LISTED: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed:
    """What was dismissed last at one webhook for one reason (the first of those that read alike),
    or with `is_chosen` what one person has chosen there by itself: what *Bring back* lists again.

    `count` is `capped`; `by`, with `by_id`, and `at`, the last time, are None where nobody noted
    them.
    """

    webhook_id: UUID
    webhook_name: str
    reason: Reason | None
    count: int
    by: str | None
    by_id: UUID | None
    at: datetime | None
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedDelivery:
    """Whether a failed delivery was dismissed, by itself (`is_chosen`: so it can be brought back),
    or with others; else with how many it can be.

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
    is_chosen: bool = False


def dismissed() -> Sequence[Dismissed]:
    """All that was dismissed and is still kept, the last first; at most `LISTED` are looked at."""
    current = session()
    found: dict[tuple[Any, ...], Dismissed] = {}
    for each in (*_of_problems(current), *_chosen(current)):
        key = each.webhook_id, each.reason, each.is_chosen, each.is_chosen and each.by_id
        found[key] = _both(found[key], each) if key in found else each
    return sorted(found.values(), key=lambda each: each.at or LONG_AGO, reverse=True)


def _of_problems(current: Session) -> Iterator[Dismissed]:
    wanted = (
        select(Dismissal, Webhook.public_id, Webhook.name, User.name, User.public_id)
        .join(Webhook, Webhook.id == Dismissal.webhook_id)
        .outerjoin(User, User.id == Dismissal.actor_id)
        .order_by(Dismissal.dismissed_at.desc().nulls_last(), Dismissal.until.desc())
    )
    for row, webhook, name, by, by_id in current.execute(wanted.limit(LISTED)).all():
        since = row.since or LONG_AGO
        tally = count_failures(current, row.webhook_id, row.reason or None, since, row.until)
        if tally.many:
            at = row.dismissed_at
            yield _line(webhook, name, row.reason, tally.many, by, by_id, at)


def _chosen(current: Session) -> Iterator[Dismissed]:
    """Those that failed later than what was dismissed of their problem: that one takes in all."""
    each = marks()
    until = func.coalesce(Dismissal.until, literal(LONG_AGO, UtcDateTime()))
    last = func.max(each.c.at).label("last")
    wanted = (
        select(
            Webhook.public_id,
            Webhook.name,
            each.c.reason,
            func.count(),
            User.name,
            User.public_id,
            last,
        )
        .select_from(each)
        .join(Webhook, Webhook.id == each.c.webhook_id)
        .outerjoin(User, User.id == each.c.actor_id)
        .outerjoin(
            Dismissal,
            and_(Dismissal.webhook_id == each.c.webhook_id, Dismissal.reason == each.c.reason),
        )
        .where(holds(each), each.c.ended_at > until)
        .group_by(Webhook.public_id, Webhook.name, each.c.reason, User.public_id, User.name)
        .order_by(last.desc())
    )
    for row in current.execute(wanted.limit(LISTED)).all():
        yield replace(_line(*row), is_chosen=True)


def _line(
    webhook: UUID,
    name: str,
    reason: str,
    many: int,
    by: str | None,
    by_id: UUID | None,
    at: datetime | None,
) -> Dismissed:
    return Dismissed(
        webhook_id=webhook,
        webhook_name=name,
        reason=alike(Reason(reason))[0] if reason else None,
        count=many,
        by=by,
        by_id=by_id,
        at=at,
        is_chosen=False,
    )


def _both(one: Dismissed, other: Dismissed) -> Dismissed:
    """As one line, with whoever was last."""
    last = max(one, other, key=lambda each: each.at or LONG_AGO)
    return replace(last, count=min(MOST, one.count + other.count))


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
    mark = current.get(DismissedDelivery, delivery.id)
    if mark is not None and ended <= mark.at:
        by = _name(current, mark.actor_id)
        alone = last is None or ended > last.until
        return replace(stands, is_dismissed=True, by=by, at=mark.at, is_chosen=alone)
    if last is None or ended > last.until:
        return replace(stands, count=_alike(current, delivery.webhook_id, reason))
    if last.since is not None and ended <= last.since:
        return replace(stands, is_dismissed=True)
    by = _name(current, last.actor_id)
    return replace(stands, is_dismissed=True, by=by, at=last.dismissed_at)


def _name(current: Session, user_id: int | None) -> str | None:
    actor = current.get(User, user_id) if user_id else None
    return actor.name if actor else None


def _alike(current: Session, webhook_id: int, reason: Reason | None) -> int:
    keys = [str(each) for each in alike(reason)] if reason else [None]
    many = 0
    for key in keys:
        last = current.get(Dismissal, (webhook_id, key or ""))
        since = last.until if last else LONG_AGO
        many += count_failures(current, webhook_id, key, since, without_marked=True).many
    return min(MOST, many)
