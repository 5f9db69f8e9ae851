"""Problems: what needs attention, a line for each webhook and reason, the worst first.

They are read from how deliveries stand, so that they resolve when what failed has arrived.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.reasons import Reason
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.earlier_reasons import EarlierReason, earlier_reasons
from portal.services.deliveries.problems import groups as problem_groups
from portal.services.deliveries.problems.groups import Group, find_groups
from portal.services.outbox.next_try import count_behind
from portal.services.webhooks.summary import Standing, standing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Deliveries of one webhook that need attention for one reason; `reason` as in `Group`.

    `count`: of which `failed` for good, and `retryable` by a person now; each like `capped`.
    `code`: the answer, where all have the same. `first_at` (None where there are too many) and
    `last_at`: when they were stored, as the log tells it. `failed_at`: when the last of them
    failed for good. `has_recovered`: something has arrived there since. `next_retry_at`: of what is
    still retried automatically, while its receiver is left alone. `waits_behind`: how many wait for
    it, for their webhook gets one at a time, in order (`capped`). `earlier`: why all that was
    looked at, or with `is_earlier_of_some` a part of it, failed before a Retry failed for this
    reason.
    """

    webhook_id: UUID
    webhook_name: str
    is_deleted: bool
    standing: Standing
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
        """Whether none has arrived since."""
        return self.standing in (Standing.FAILING, Standing.PAUSED)


def find_problems(webhook: UUID | None = None) -> list[Problem]:
    """All problems, or those of one webhook, the worst first. Reads only."""
    current = session()
    now = database_time(current)
    groups = _groups(current, now, webhook)
    hooks = _webhooks(current, [each.webhook_id for each in groups])
    times = _times(current, groups)
    earlier = earlier_reasons(current, [end for each in groups for end in _ends(each)])
    found = [
        _problem(
            each,
            hooks[each.webhook_id],
            times,
            now,
            waits_behind=_waits_behind(current, each, hooks[each.webhook_id]),
            earlier=_earlier(each, earlier),
        )
        for each in groups
    ]
    return sorted(found, key=_severity)


def count(webhook: UUID | None = None) -> int:
    """How many deliveries need attention, at one webhook if given (`capped`)."""
    current = session()
    return total_of(_groups(current, database_time(current), webhook))


def total_of(found: Iterable[Problem | Group]) -> int:
    """How many deliveries they are together (`capped`)."""
    return min(problem_groups.MOST, sum(each.count for each in found))


def _groups(current: Session, now: datetime, webhook: UUID | None) -> list[Group]:
    if webhook is None:
        return find_groups(current, now)
    one = current.scalar(select(Webhook.id).where(Webhook.public_id == webhook))
    return find_groups(current, now, one) if one is not None else []


def _webhooks(current: Session, ids: Sequence[int]) -> dict[int, AnyRow]:
    wanted = select(
        Webhook.id,
        Webhook.public_id,
        Webhook.name,
        Webhook.state,
        Webhook.deleted_at,
        Webhook.throttled,
        Webhook.failing_since,
        Webhook.not_before,
        Webhook.last_delivered_at,
        Webhook.in_order,
    ).where(Webhook.id.in_(set(ids)))
    return {row.id: row for row in current.execute(wanted)}


def _times(current: Session, groups: Sequence[Group]) -> dict[int, datetime]:
    ends = {end for each in groups for end in _ends(each)}
    wanted = select(Delivery.id, Delivery.created_at).where(Delivery.id.in_(ends))
    return {row.id: row.created_at for row in current.execute(wanted)}


def _ends(group: Group) -> tuple[int, int]:
    return group.first_id, group.last_id


def _waits_behind(current: Session, group: Group, hook: AnyRow) -> int:
    """In order, what is open of a problem is the one that goes first."""
    if not hook.in_order or group.count == group.failed:
        return 0
    return count_behind(current, hook.id)


def _earlier(group: Group, known: dict[int, EarlierReason]) -> tuple[EarlierReason | None, bool]:
    """The oldest and the youngest stand for all: what both say counts for all of them, what one
    says for some. Nothing, where each says something else."""
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
    is_paused = hook.not_before is not None and hook.not_before > now
    return Problem(
        webhook_id=hook.public_id,
        webhook_name=hook.name,
        is_deleted=is_gone,
        standing=Standing.OFF if is_gone else standing_of(hook),
        reason=group.reason,
        code=lowest if lowest == highest else None,
        count=group.count,
        failed=group.failed,
        retryable=group.count - group.waiting if is_on else 0,
        first_at=times.get(group.first_id) if group.count < problem_groups.MOST else None,
        last_at=times.get(group.last_id),
        failed_at=group.failed_at,
        has_recovered=hook.failing_since is None
        and _is_later(hook.last_delivered_at, group.failed_at),
        is_paused=is_paused and is_on,
        next_retry_at=_next_retry(group, hook) if is_paused and is_on else None,
        waits_behind=waits_behind,
        earlier=earlier[0],
        is_earlier_of_some=earlier[1],
    )


def _next_retry(group: Group, hook: AnyRow) -> datetime | None:
    """None: what failed for good is not retried automatically. In order, the head probes at its own
    time."""
    if group.due_at is None:
        return None
    return group.due_at if hook.in_order else max(group.due_at, hook.not_before)


def _is_later(arrived: datetime | None, failed: datetime | None) -> bool:
    return arrived is not None and failed is not None and arrived > failed


def _severity(problem: Problem) -> tuple[Any, ...]:
    """What stands still (failed for good, or holding others up) before what is still retried; of
    these what goes on, then most. None is left to the database: a list that is looked at again
    stands as it stood."""
    is_moving = not (problem.failed or problem.waits_behind)
    many = problem.count + problem.waits_behind
    where = problem.webhook_name.lower(), problem.webhook_id
    return is_moving, not problem.is_failing, -many, *where, problem.reason or ""
