"""Dismiss of chosen deliveries, some of a problem where the others need somebody, and back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, not_, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.reasons import Reason, title
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.models.dismissals import DismissedDelivery
from portal.models.webhooks import Webhook
from portal.services.audit import trail
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, writing
from portal.services.deliveries.log.attention import is_undismissed
from portal.services.deliveries.log.marks import is_unmarked
from portal.services.deliveries.problems.dismissal import BACK, PERMISSION
from portal.services.deliveries.queued_rows import taken

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
    """How many of those chosen were dismissed; `in_bulk_retry`: so many more, that go out again all
    the same. Left out were `others`: they have not failed, are tests, are dismissed already, or are
    no longer kept."""

    dismissed: int
    in_bulk_retry: int
    others: int


def dismiss_chosen(actor: Actor, public_ids: Sequence[UUID]) -> ChosenCount:
    """Dismiss these failed deliveries, at most `MOST_CHOSEN`, and no others. Raises `Refusal`."""
    ids = set(public_ids)
    with writing() as current:
        hooks = _lock_chosen(current, actor, ids)
        kept = current.scalars(select(Delivery.id).where(Delivery.public_id.in_(ids))).all()
        in_runs, rows = taken(current, kept), _listed(current, ids)
        if not rows:
            raise Refusal(ALL_ON_THE_WAY if len(in_runs) == len(ids) else NOTHING)
        _mark(current, actor, rows)
        for hook in hooks:
            _record_chosen(current, actor, hook, [row for row in rows if row.webhook_id == hook.id])
        queued = sum(row.id in in_runs for row in rows)
        return ChosenCount(len(rows) - queued, queued, len(ids) - len(rows))


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """How many of those chosen are problems again; `with_others`: so many were dismissed with a
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
    """The webhooks of these, one after the other as everywhere. Raises `Refusal`."""
    require(current, actor, PERMISSION)
    if not ids or len(ids) > MOST_CHOSEN:
        raise Refusal(TOO_MANY if ids else NONE_CHOSEN)
    owners = select(Delivery.webhook_id).where(Delivery.public_id.in_(ids))
    wanted = select(Webhook).where(Webhook.id.in_(owners)).order_by(Webhook.id)
    locked = wanted.with_for_update(key_share=True)
    return current.scalars(locked.execution_options(populate_existing=True)).all()


def _listed(current: Session, ids: set[UUID]) -> Sequence[AnyRow]:
    """Those that failed, are no tests, and that nobody has dismissed."""
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
    trail.record(
        current,
        actor,
        action,
        target=("webhook", hook.public_id, hook.name),
        changes={name: {"from": None, "to": value} for name, value in told.items()},
    )
