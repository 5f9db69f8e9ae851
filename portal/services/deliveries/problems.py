"""Group what needs attention by webhook and reason, and count each group."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    bindparam,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from portal.database.engine import NOW, AnyRow
from portal.engine.reasons import Reason, alike
from portal.models.deliveries import (
    IS_FAILURE,
    Delivery,
    DeliveryStatus,
    is_failure,
)
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.queries import COUNT_LIMIT, skip_scan
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.answers import EarlierReason, earlier_reasons
from portal.services.deliveries.statuses import (
    TRIES_BEFORE_A_LOOK,
    paused_webhooks,
    wants_attention,
)
from portal.services.outbox.due import count_behind, with_open_rows
from portal.services.webhooks.queries import WebhookStatus, webhook_status

MOST: Final = COUNT_LIMIT + 1
WEBHOOK: Final[Any] = bindparam("webhook", type_=Delivery.webhook_id.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Deliveries of one webhook that need attention for one reason (None: not attempted so far).

    `reason`: the first of those that read the same. `failed`: for good. `waiting`: what is about to
    be sent once its receiver is not backing off any more. `count` and its parts stop at `MOST`.
    `codes`: the lowest and the highest; None where some have none. `failed_at`: the last time.
    `due_at`: of what is still open, the first.
    """

    webhook_id: int
    reason: Reason | None
    count: int
    failed: int = 0
    waiting: int = 0
    first_id: int
    last_id: int
    codes: tuple[int, int] | None
    failed_at: datetime | None = None
    due_at: datetime | None = None

    def with_more(self, other: "Group") -> "Group":
        """Add both as one group."""
        times = [at for at in (self.failed_at, other.failed_at) if at]
        codes = (*(self.codes or ()), *(other.codes or ()))
        return replace(
            self,
            count=min(MOST, self.count + other.count),
            failed=min(MOST, self.failed + other.failed),
            waiting=min(MOST, self.waiting + other.waiting),
            first_id=min(self.first_id, other.first_id),
            last_id=max(self.last_id, other.last_id),
            codes=(min(codes), max(codes)) if self.codes and other.codes else None,
            failed_at=max(times, default=None),
            due_at=min(filter(None, (self.due_at, other.due_at)), default=None),
        )


def find_groups(current: Session, now: datetime, webhook_id: int | None = None) -> list[Group]:
    """Return all of them, or those of one webhook, in no order. `now`: the database's clock."""
    by_key: dict[tuple[int, Reason | None], Group] = {}
    for group in (*_failed(current, webhook_id), *_open(current, now, webhook_id)):
        key = group.webhook_id, group.reason
        by_key[key] = by_key[key].with_more(group) if key in by_key else group
    return list(by_key.values())


def _failed(current: Session, webhook_id: int | None) -> Iterator[Group]:
    """One statement finds the groups and their last failures, then one counts each of them."""
    dialect = current.get_bind().dialect.name
    given = {"webhook": webhook_id} if webhook_id is not None else {}
    for with_reason in (True, False):
        pairs = _pairs(dialect, with_reason=with_reason, of_one=webhook_id is not None)
        for owner, reason, failed_at in current.execute(pairs, given).all():
            if failed_at is None:
                continue
            of_one = {"webhook": owner} | ({"reason": reason} if reason else {})
            row = current.execute(_failures(is_untried=reason is None), of_one).one()
            yield _group(owner, reason, row, failed=row.many, failed_at=row.failed_at)


@cache
def _pairs(dialect: str, *, with_reason: bool, of_one: bool) -> Select[Any]:
    """Select (webhook, reason, the last failure or None) of all webhooks where any failed."""
    by = "INDEXED BY ix_deliveries_failures" if dialect == "sqlite" else ""
    if of_one:
        webhooks: Any = select(bindparam("webhook", type_=Delivery.id.type).label("id")).cte("one")
    else:
        webhooks = skip_scan("deliveries", "webhook_id", IS_FAILURE, by=by).cte("failing")
    if not with_reason:
        is_one = Delivery.reason.is_(None)
        return select(webhooks.c.id, literal(None), _last(webhooks.c.id, is_one))
    reasons = union_all(*(select(literal(str(reason)).label("reason")) for reason in Reason)).cte(
        "why"
    )
    last = _last(webhooks.c.id, Delivery.reason == reasons.c.reason).label("last")
    return select(webhooks.c.id, reasons.c.reason, last).join_from(webhooks, reasons, true())


def _last(
    webhook_id: ColumnElement[int], is_one: ColumnElement[bool]
) -> ScalarSelect[datetime | None]:
    """One step of the index. Not max(): for that, PostgreSQL may read the whole group."""
    return (
        select(Delivery.finished_at)
        .where(
            Delivery.webhook_id == webhook_id,
            is_one,
            is_failure(),
            Delivery.finished_at.is_not(None),
        )
        .order_by(Delivery.webhook_id.desc(), Delivery.reason.desc(), Delivery.finished_at.desc())
        .limit(1)
        .scalar_subquery()
    )


@cache
def _failures(*, is_untried: bool) -> Select[Any]:
    """Return the newest `MOST` that failed, counted along the index: `_tally`, and `failed_at`,
    when the last of them did."""
    reason = bindparam("reason", type_=Delivery.reason.type)
    newest = (
        select(Delivery.id, Delivery.code, Delivery.finished_at)
        .where(
            Delivery.webhook_id == bindparam("webhook", type_=Delivery.id.type),
            Delivery.reason.is_(None) if is_untried else Delivery.reason == reason,
            is_failure(),
            Delivery.finished_at.is_not(None),
        )
        .order_by(Delivery.webhook_id.desc(), Delivery.reason.desc(), Delivery.finished_at.desc())
        .limit(MOST)
        .subquery()
    )
    last = func.max(newest.c.finished_at).label("failed_at")
    return select(*_tally(newest), last).select_from(newest)


def _open(current: Session, now: datetime, webhook_id: int | None) -> Iterator[Group]:
    paused = paused_webhooks(current, now, webhook_id)
    of_one = {"now": now, "paused": paused}
    if webhook_id is not None:
        yield from _counted(current, _retrying(of_one=True), {**of_one, "webhook": webhook_id})
    else:
        groups = list(_counted(current, _retrying(of_one=False), of_one))
        if sum(group.count for group in groups) >= MOST:
            # One of them has so many that others were not counted.
            dialect = current.get_bind().dialect.name
            busy = current.execute(with_open_rows(dialect)).scalars().all()
            for one in busy:
                yield from _counted(current, _retrying(of_one=True), {**of_one, "webhook": one})
        else:
            yield from groups
    for one in paused:
        for group in _counted(current, _waiting(), {"now": now, "webhook": one}):
            yield replace(group, waiting=group.count)


def _counted(current: Session, statement: Select[Any], given: dict[str, Any]) -> Iterator[Group]:
    for row in current.execute(statement, given):
        yield _group(row.webhook_id, row.reason, row, waiting=row.handed, due_at=row.due_at)


# Built once: building one costs more than running it.
@cache
def _retrying(*, of_one: bool) -> Select[Any]:
    """Count what was tried often enough to look at, and what waits for a paused receiver."""
    is_paused = Delivery.webhook_id.in_(bindparam("paused", expanding=True))
    often = or_(Delivery.tries >= TRIES_BEFORE_A_LOOK, is_paused)
    status = Delivery.status == DeliveryStatus.RETRYING
    mine = [Delivery.webhook_id == WEBHOOK] if of_one else []
    return _by_reason(status, often, wants_attention(NOW), *mine)


@cache
def _waiting() -> Select[Any]:
    """Return what is about to be sent once its receiver is not backing off any more."""
    status = Delivery.status == DeliveryStatus.QUEUED
    return _by_reason(Delivery.webhook_id == WEBHOOK, status, wants_attention(NOW))


def _by_reason(*conditions: ColumnElement[bool]) -> Select[Any]:
    """By webhook and reason, of at most `MOST` rows, the newest of those in one status."""
    newest = (
        select(
            Delivery.id,
            Delivery.code,
            Delivery.webhook_id,
            Delivery.reason,
            Delivery.due_at,
            Delivery.prior_status,
        )
        .where(*conditions)
        .order_by(Delivery.status.desc(), Delivery.id.desc())
        .limit(MOST)
        .subquery()
    )
    due = func.min(newest.c.due_at).label("due_at")
    handed = func.count(newest.c.prior_status).label("handed")
    grouped = select(newest.c.webhook_id, newest.c.reason, *_tally(newest), due, handed)
    return grouped.group_by(newest.c.webhook_id, newest.c.reason)


def _tally(rows: Any) -> Sequence[ColumnElement[Any]]:
    return (
        func.count().label("many"),
        func.min(rows.c.id).label("first"),
        func.max(rows.c.id).label("last"),
        func.min(rows.c.code).label("lowest"),
        func.max(rows.c.code).label("highest"),
        func.count(rows.c.code).label("coded"),
    )


def _group(webhook_id: int, reason: str | None, row: AnyRow, **more: Any) -> Group:
    return Group(
        webhook_id=webhook_id,
        reason=alike(Reason(reason))[0] if reason else None,
        count=row.many,
        first_id=row.first,
        last_id=row.last,
        codes=(row.lowest, row.highest) if row.coded == row.many else None,
        **more,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Deliveries of one webhook that need attention for one reason; `reason` as in `Group`.

    `count`: of which `failed` for good, and `retryable` by a person now; each like `capped`.
    `code`: the answer, where all have the same. `first_at` (None where there are too many) and
    `last_at`: when they were stored, as the log tells it. `failed_at`: when the last of them failed
    for good. `has_recovered`: something has arrived there since. `next_retry_at`: of what is still
    retried automatically, while its receiver is backing off. `waits_behind`: how many wait for it,
    for their webhook gets one at a time, in order (`capped`). `earlier`: why all that was looked
    at, or with `is_earlier_of_some` a part of it, failed before a Retry failed for this reason.
    """

    webhook_id: UUID
    webhook_name: str
    is_deleted: bool
    standing: WebhookStatus
    reason: Reason | None
    code: int | None
    count: int
    failed: int
    retryable: int
    first_at: datetime | None
    last_at: datetime | None
    failed_at: datetime | None
    has_recovered: bool
    is_paused: bool
    next_retry_at: datetime | None
    waits_behind: int
    earlier: EarlierReason | None
    is_earlier_of_some: bool

    @property
    def is_failing(self) -> bool:
        """Return whether none has arrived since."""
        return self.standing in (WebhookStatus.FAILING, WebhookStatus.PAUSED)


def find_problems(webhook: UUID | None = None) -> list[Problem]:
    """Return all problems, or those of one webhook, the worst first. Reads only."""
    current = session()
    now = database_time(current)
    groups = _groups(current, now, webhook)
    hooks = _webhooks(current, [group.webhook_id for group in groups])
    times = _times(current, groups)
    earlier = earlier_reasons(current, [end for group in groups for end in _ends(group)])
    problems = [
        _problem(
            group,
            hooks[group.webhook_id],
            times,
            now,
            waits_behind=_waits_behind(current, group, hooks[group.webhook_id]),
            earlier=_earlier(group, earlier),
        )
        for group in groups
    ]
    return sorted(problems, key=_severity)


def count(webhook: UUID | None = None) -> int:
    """Count the deliveries that need attention, at one webhook if given (`capped`)."""
    current = session()
    return total_of(_groups(current, database_time(current), webhook))


def total_of(parts: Iterable[Problem | Group]) -> int:
    """Add the deliveries of all (`capped`)."""
    return min(MOST, sum(part.count for part in parts))


def _groups(current: Session, now: datetime, webhook: UUID | None) -> list[Group]:
    if webhook is None:
        return find_groups(current, now)
    one = current.scalar(select(Webhook.id).where(Webhook.public_id == webhook))
    return find_groups(current, now, one) if one is not None else []


def _webhooks(current: Session, ids: Sequence[int]) -> dict[int, AnyRow]:
    statement = select(
        Webhook.id,
        Webhook.public_id,
        Webhook.name,
        Webhook.state,
        Webhook.deleted_at,
        Webhook.throttled,
        Webhook.failing_since,
        Webhook.backoff_until,
        Webhook.last_delivered_at,
        Webhook.in_order,
    ).where(Webhook.id.in_(set(ids)))
    return {row.id: row for row in current.execute(statement)}


def _times(current: Session, groups: Sequence[Group]) -> dict[int, datetime]:
    ends = {end for group in groups for end in _ends(group)}
    statement = select(Delivery.id, Delivery.created_at).where(Delivery.id.in_(ends))
    return {row.id: row.created_at for row in current.execute(statement)}


def _ends(group: Group) -> tuple[int, int]:
    return group.first_id, group.last_id


def _waits_behind(current: Session, group: Group, hook: AnyRow) -> int:
    """In order, what is open of a problem is the one that goes first."""
    if not hook.in_order or group.count == group.failed:
        return 0
    return count_behind(current, hook.id)


def _earlier(group: Group, known: dict[int, EarlierReason]) -> tuple[EarlierReason | None, bool]:
    """Take the oldest and the youngest for all: what both say counts for all of them, what
    one says for some. Nothing, where each says something else."""
    first, last = (known.get(end) for end in _ends(group))
    if first and last:
        return (first, False) if first.words == last.words else (None, False)
    return first or last, bool(first or last)


def _problem(
    group: Group,
    hook: AnyRow,
    times: dict[int, datetime],
    now: datetime,
    *,
    waits_behind: int,
    earlier: tuple[EarlierReason | None, bool],
) -> Problem:
    lowest, highest = group.codes or (None, None)
    is_gone = hook.deleted_at is not None
    is_on = hook.state == WebhookState.ACTIVE and not is_gone
    is_paused = is_on and hook.backoff_until is not None and hook.backoff_until > now
    arrived_at, failed_at = hook.last_delivered_at, group.failed_at
    has_arrived = bool(arrived_at and failed_at and arrived_at > failed_at)
    return Problem(
        webhook_id=hook.public_id,
        webhook_name=hook.name,
        is_deleted=is_gone,
        standing=WebhookStatus.OFF if is_gone else webhook_status(hook),
        reason=group.reason,
        code=lowest if lowest == highest else None,
        count=group.count,
        failed=group.failed,
        retryable=group.count - group.waiting if is_on else 0,
        first_at=times.get(group.first_id) if group.count < MOST else None,
        last_at=times.get(group.last_id),
        failed_at=failed_at,
        has_recovered=has_arrived and hook.failing_since is None,
        is_paused=is_paused,
        next_retry_at=_next_retry(group, hook) if is_paused else None,
        waits_behind=waits_behind,
        earlier=earlier[0],
        is_earlier_of_some=earlier[1],
    )


def _next_retry(group: Group, hook: AnyRow) -> datetime | None:
    """Return None for what failed for good. In order, the head probes at its own time."""
    if group.due_at is None:
        return None
    return group.due_at if hook.in_order else max(group.due_at, hook.backoff_until)


def _severity(problem: Problem) -> tuple[Any, ...]:
    """Sort what stands still (failed for good, or holding others up) before what is still
    retried; of these what goes on, then most. None is left to the database: a list that is looked
    at again stands as it stood."""
    is_moving = not (problem.failed or problem.waits_behind)
    many = problem.count + problem.waits_behind
    where = problem.webhook_name.lower(), problem.webhook_id
    return is_moving, not problem.is_failing, -many, *where, problem.reason or ""
