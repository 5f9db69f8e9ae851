"""Handing the rows of a bulk retry to the workers, and taking them back.

The webhooks' rows are locked before their deliveries, both in the order of their ids.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.models.batches import BatchRow, RowOutcome
from portal.models.deliveries import Delivery, DeliveryStatus, Priority, has_no_live_lease
from portal.models.tasks import Task
from portal.models.webhooks import Webhook, WebhookState
from portal.services.bulk_retry import runs
from portal.services.bulk_retry.rows import (
    NOT_KEPT,
    halted,
    left_by_webhook,
    set_rows,
    settle,
    trust,
)
from portal.services.core.unit_of_work import database_time, ring
from portal.services.deliveries.retry import RetryState, why_not_retry
from portal.services.outbox import leases
from portal.services.outbox.status import ShownStatus, shown_status

MOST_UNDER_WAY: Final = 200
A_STEP: Final = 100


def hand_over(current: Session, task: Task) -> int:
    """Make the next rows due; return how many were handed over or taken back or skipped."""
    left = left_by_webhook(current, task.id)
    webhooks = _lock_webhooks(current, [each.webhook_id for each in left])
    stopped, moved = halted(task), 0
    running = sum(each.webhook_id not in stopped for each in left)
    share = max(1, MOST_UNDER_WAY // max(1, running))
    places = min(A_STEP, MOST_UNDER_WAY - sum(each.sent for each in left))
    for each in left:
        webhook = webhooks[each.webhook_id]
        limit = _limit(task, webhook, share)
        if each.sent > limit:
            moved += _take_back(current, task, webhook.id, each.sent - limit)
        fits = min(places, limit - each.sent)
        if each.waits and fits > 0:
            handed = _hand(current, task, webhook, fits)
            moved, places = moved + handed, places - handed
    return moved


def _limit(task: Task, webhook: AnyRow, share: int) -> int:
    """How many of a webhook's rows may be with the workers.

    A few until one arrives, so that a broken receiver gets no more than it takes to notice; one,
    the probe, while the webhook is throttled.
    """
    trusted = trust(task, webhook.id)
    limit = share if trusted is None else min(share, trusted)
    return min(limit, 1) if webhook.throttled else limit


def take_back_all(current: Session, task: Task) -> None:
    """Stop: what nobody is sending yet gets its earlier status back, and is not sent."""
    settle(current, task)
    left = left_by_webhook(current, task.id)
    _lock_webhooks(current, [each.webhook_id for each in left])
    for each in left:
        _take_back(current, task, each.webhook_id, each.sent)
    unsent = [BatchRow.task_id == task.id, BatchRow.outcome == RowOutcome.WAITING]
    current.execute(update(BatchRow).where(*unsent).values(outcome=RowOutcome.UNSENT))


def _hand(current: Session, task: Task, webhook: AnyRow, most: int) -> int:
    wanted = (
        select(BatchRow.delivery_id)
        .where(
            BatchRow.task_id == task.id,
            BatchRow.outcome == RowOutcome.WAITING,
            BatchRow.webhook_id == webhook.id,
        )
        .order_by(BatchRow.delivery_id)
        .limit(most)
    )
    ids = current.execute(wanted).scalars().all()
    rows = {row.id: row for row in current.execute(_locked(ids))}
    now, leased = database_time(current), leases.ends(current, ids)
    refused: dict[str, list[int]] = defaultdict(list)
    for each in ids:
        row = rows.get(each)
        status = shown_status(row.status, leased.get(each), now) if row else None
        why = _why_not(webhook, row, status, task) if row and status else NOT_KEPT
        refused[why].append(each)
    handed = refused.pop("", [])
    for sentence, skipped in refused.items():
        set_rows(current, task, skipped, outcome=RowOutcome.SKIPPED, message=sentence)
        task.count(RowOutcome.SKIPPED, len(skipped))
    if handed:
        _make_due(current, task, handed, now)
    return len(ids)


def _why_not(webhook: AnyRow, row: AnyRow, status: ShownStatus, task: Task) -> str:
    standing = RetryState(
        status=status,
        is_test=row.priority == Priority.TEST,
        webhook_name=webhook.name,
        is_webhook_off=webhook.state != WebhookState.ACTIVE,
        is_webhook_deleted=webhook.deleted_at is not None,
    )
    return why_not_retry(standing, again=bool(task.params.get("again"))) or ""


def _make_due(current: Session, task: Task, ids: Sequence[int], now: datetime) -> None:
    attempts = select(Delivery.attempts).where(Delivery.id == BatchRow.delivery_id)
    before = attempts.scalar_subquery()
    set_rows(current, task, ids, outcome=RowOutcome.SENT, attempts=before)
    current.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(
            prior_status=Delivery.status,
            prior_due_at=Delivery.due_at,
            status=DeliveryStatus.WAITING,
            due_at=now,
            priority=Priority.BULK,
            requested_by=runs.sender(task).name,
        )
        .execution_options(synchronize_session=False)
    )
    ring(current)


def _take_back(current: Session, task: Task, webhook_id: int, most: int) -> int:
    """Give back what is handed over and not being sent, the last first; return how many."""
    now = database_time(current)
    wanted = (
        select(Delivery.id)
        .join(BatchRow, BatchRow.delivery_id == Delivery.id)
        .where(
            BatchRow.task_id == task.id,
            BatchRow.outcome == RowOutcome.SENT,
            BatchRow.webhook_id == webhook_id,
            Delivery.priority == Priority.BULK,
            Delivery.prior_status.is_not(None),
            has_no_live_lease(now),
        )
        .order_by(Delivery.id.desc())
        .limit(most)
        .with_for_update(of=Delivery)
    )
    ids = leases.free_among(current, current.execute(wanted).scalars().all(), now)
    if ids:
        _restore(current, ids)
        set_rows(current, task, ids, outcome=RowOutcome.WAITING, attempts=0)
    return len(ids)


def _restore(current: Session, ids: Sequence[int]) -> None:
    current.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(
            status=Delivery.prior_status,
            due_at=func.coalesce(Delivery.prior_due_at, Delivery.due_at),
            priority=Priority.NORMAL,
            prior_status=None,
            prior_due_at=None,
            requested_by=None,
        )
        .execution_options(synchronize_session=False)
    )


def _lock_webhooks(current: Session, ids: Sequence[int]) -> dict[int, AnyRow]:
    """What ran out becomes an attempt first: nobody may record its end any more."""
    wanted = select(
        Webhook.id, Webhook.name, Webhook.state, Webhook.deleted_at, Webhook.throttled
    ).where(Webhook.id.in_(ids))
    rows = current.execute(wanted.order_by(Webhook.id).with_for_update(key_share=True)).all()
    leases.settle_ended(current, ids, database_time(current))
    return {row.id: row for row in rows}


def _locked(ids: Sequence[int]) -> Any:
    return (
        select(Delivery.id, Delivery.status, Delivery.priority)
        .where(Delivery.id.in_(ids))
        .order_by(Delivery.id)
        .with_for_update()
    )
