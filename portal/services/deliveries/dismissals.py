"""Dismiss what failed, a whole problem or selected deliveries, and bring it back."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal, not_, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow, UtcDateTime
from portal.engine.reasons import Reason, alike, title
from portal.models.deliveries import (
    Delivery,
    DeliveryStatus,
    Dismissal,
    DismissedDelivery,
    Priority,
)
from portal.models.people import User
from portal.models.webhooks import Webhook, WebhookState
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.queries import COUNT_LIMIT
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.deliveries.problems import MOST, count_failures
from portal.services.deliveries.retry import count_queued, taken
from portal.services.deliveries.statuses import LONG_AGO, holds, is_undismissed, is_unmarked, marks

LISTED: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed:
    """A line of what was dismissed last at one webhook for one reason (the first of those that read
    alike), or with `is_chosen` what one person has chosen there by itself: what *Bring back* lists
    again.

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
    """A failed delivery that was dismissed, by itself (`is_chosen`: so it can be brought back),
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
    """Return all that was dismissed and is still kept, the last first; at most `LISTED` are looked
    at."""
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
    """Yield those that failed later than what was dismissed of their problem: that one takes in
    all."""
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


def dismissal_of(public_id: UUID) -> FailedDelivery | None:
    """Return how a failed delivery failed; None where it has not failed, and of a test."""
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
    failed = FailedDelivery(
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
        return replace(failed, is_dismissed=True, by=by, at=mark.at, is_chosen=alone)
    if last is None or ended > last.until:
        return replace(failed, count=_alike(current, delivery.webhook_id, reason))
    if last.since is not None and ended <= last.since:
        return replace(failed, is_dismissed=True)
    by = _name(current, last.actor_id)
    return replace(failed, is_dismissed=True, by=by, at=last.dismissed_at)


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


MOST_CHOSEN: Final = 50  # a page of the log
NONE_CHOSEN: Final = "Tick the deliveries first."
TOO_MANY: Final = f"Select at most {MOST_CHOSEN} deliveries at once."
NOTHING: Final = (
    "There is nothing to dismiss: only failed deliveries that are listed as problems can be."
)
ALL_ON_THE_WAY: Final = (
    "Nothing is dismissed: what was selected is being sent again at this moment. What fails again "
    "can be dismissed then."
)
WITH_OTHERS: Final = (
    "Nothing is brought back: this was dismissed with a whole problem. Bring that back under "
    "Dismissed problems."
)


@dataclass(frozen=True, slots=True)
class ChosenCount:
    """Count of those chosen that were dismissed; `in_bulk_retry`: so many more, that go out again
    all the same. Left out were `others`: they have not failed, are tests, are dismissed already, or
    are no longer kept."""

    dismissed: int
    in_bulk_retry: int
    others: int


def dismiss_chosen(actor: Actor, public_ids: Sequence[UUID]) -> ChosenCount:
    """Dismiss these failed deliveries, at most `MOST_CHOSEN`, and no others. Raises `Refusal`."""
    ids = set(public_ids)
    with writing() as current:
        hooks = _lock_chosen(current, actor, ids)
        kept = current.scalars(select(Delivery.id).where(Delivery.public_id.in_(ids))).all()
        in_bulk_retries, rows = taken(current, kept), _listed(current, ids)
        if not rows:
            raise Refusal(ALL_ON_THE_WAY if len(in_bulk_retries) == len(ids) else NOTHING)
        _mark(current, actor, rows)
        for hook in hooks:
            _record_chosen(current, actor, hook, [row for row in rows if row.webhook_id == hook.id])
        queued = sum(row.id in in_bulk_retries for row in rows)
        return ChosenCount(len(rows) - queued, queued, len(ids) - len(rows))


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """Count of those chosen that are problems again; `with_others`: so many were dismissed with a
    whole problem, and can only be brought back with it."""

    count: int
    with_others: int


def bring_back_chosen(actor: Actor, public_ids: Sequence[UUID]) -> BroughtBack:
    """List these as problems again, at most `MOST_CHOSEN`, and no others. Raises `Refusal`."""
    ids = set(public_ids)
    with writing() as current:
        hooks = _lock_chosen(current, actor, ids)
        rows = _failed(current, ids, is_undismissed(Delivery), not_(is_unmarked(Delivery)))
        with_others = len(_failed(current, ids, not_(is_undismissed(Delivery))))
        if not rows:
            raise Refusal(WITH_OTHERS if with_others else BACK)
        gone = [row.id for row in rows]
        current.execute(delete(DismissedDelivery).where(DismissedDelivery.delivery_id.in_(gone)))
        for hook in hooks:
            mine = [row for row in rows if row.webhook_id == hook.id]
            _record_chosen(current, actor, hook, mine, "webhook.problem_brought_back")
        return BroughtBack(len(rows), with_others)


def _lock_chosen(current: Session, actor: Actor, ids: set[UUID]) -> Sequence[Webhook]:
    """Return the webhooks of these, one after the other as everywhere. Raises `Refusal`."""
    require(current, actor, PERMISSION)
    if not ids or len(ids) > MOST_CHOSEN:
        raise Refusal(TOO_MANY if ids else NONE_CHOSEN)
    owners = select(Delivery.webhook_id).where(Delivery.public_id.in_(ids))
    wanted = select(Webhook).where(Webhook.id.in_(owners)).order_by(Webhook.id)
    locked = wanted.with_for_update(key_share=True)
    return current.scalars(locked.execution_options(populate_existing=True)).all()


def _listed(current: Session, ids: set[UUID]) -> Sequence[AnyRow]:
    """Return those that failed, are no tests, and that nobody has dismissed."""
    return _failed(current, ids, is_undismissed(Delivery), is_unmarked(Delivery))


def _failed(current: Session, ids: set[UUID], *more: ColumnElement[bool]) -> Sequence[AnyRow]:
    ended = func.coalesce(Delivery.finished_at, Delivery.created_at).label("ended_at")
    wanted = select(Delivery.id, Delivery.webhook_id, Delivery.reason, ended).where(
        Delivery.public_id.in_(ids),
        Delivery.status == DeliveryStatus.FAILED,
        Delivery.priority != Priority.TEST,
        *more,
    )
    return current.execute(wanted).all()


def _mark(current: Session, actor: Actor, rows: Sequence[AnyRow]) -> None:
    """Also where an earlier mark holds no more."""
    ids, now = [row.id for row in rows], database_time(current)
    current.execute(delete(DismissedDelivery).where(DismissedDelivery.delivery_id.in_(ids)))
    current.add_all(
        # Another transaction may have told its end by a clock that was read later.
        DismissedDelivery(delivery_id=row.id, at=max(now, row.ended_at), actor_id=actor.user_id)
        for row in rows
    )


def _record_chosen(
    current: Session,
    actor: Actor,
    hook: Webhook,
    rows: Sequence[AnyRow],
    action: str = "webhook.problem_dismissed",
) -> None:
    if not rows:
        return
    reasons = Counter(title(Reason(row.reason)) if row.reason else "None" for row in rows)
    told = {"reason": ", ".join(sorted(reasons)), "selected_deliveries": len(rows)}
    audit.record(
        current,
        actor,
        action,
        target=("webhook", hook.public_id, hook.name),
        changes={name: {"from": None, "to": value} for name, value in told.items()},
    )


PERMISSION: Final = "deliveries.dismiss"
BACK: Final = "There is nothing to bring back: somebody has done it, or it is no longer kept."
OVER: Final = "There is nothing to dismiss: this is resolved, or somebody has dismissed it already."


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """Count of what was dismissed (`capped`); of which so many are still sent in a bulk retry."""

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
    """Bring back what one person has chosen there by itself. `by`: None where nobody was noted."""
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
    """Return the reason, and those that read the same."""
    return [str(each) for each in alike(reason)] if reason else [None]


def _record(
    current: Session, actor: Actor, hook: Webhook, action: str, reason: Reason | None, count: int
) -> int:
    told = {"reason": title(reason) if reason else "None", "failed_deliveries": _capped(count)}
    audit.record(
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
    """Count how many are problems again; None where nothing was dismissed."""
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
