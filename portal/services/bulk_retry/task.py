"""Bulk retry: many deliveries once more, a few at a time, behind everything that is new.

A task (`tasks`) that collects its rows, hands at most `MOST_UNDER_WAY` of them to the workers at
priority bulk, and watches how they end. It sends nothing itself.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.lib.clock import common_now
from portal.models.deliveries import (
    BatchRow,
    Delivery,
    DeliveryStatus,
    Priority,
    RowOutcome,
    has_no_live_lease,
)
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook, WebhookState
from portal.queue.notifier import notify_after_commit, notify_tasks
from portal.services import audit, tasks
from portal.services.bulk_retry import batches, selection
from portal.services.bulk_retry import batches as bulk_retry_rows
from portal.services.bulk_retry.batches import (
    NOT_KEPT,
    halted,
    left_by_webhook,
    set_rows,
    settle,
    trust,
)
from portal.services.bulk_retry.selection import Selection
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import database_time, notify, writing
from portal.services.deliveries import retry
from portal.services.deliveries.retry import RetryState, why_not_retry
from portal.services.outbox import leases
from portal.services.outbox.due import ShownStatus, refuse_while_stopped, shown_status
from portal.services.tasks import Kind, Step

NAME: Final = retry.NAME
PERMISSION: Final = "deliveries.retry"
LOOK_AGAIN: Final = timedelta(seconds=0.5)
# In the cursor once somebody pressed Stop: only what is on its way is still waited for.
STOPPING: Final = "stopping"


def start(actor: Actor, choice: Selection) -> UUID:
    """Store the choice and have it worked at; the batch's public id. Raises `Refusal`."""
    if choice.is_blank:
        raise Refusal("Tick the deliveries to retry first.")
    if len(choice.ticked) > selection.MOST_TICKED:
        raise Refusal(f"Tick at most {selection.MOST_TICKED} deliveries at a time.")
    with writing() as current:
        require(current, actor, PERMISSION)
        refuse_while_stopped()
        params = selection.as_params(choice)
        task = tasks.start(current, actor, NAME, total=0, params=params)
        told = {name: {"from": None, "to": value} for name, value in _told(params).items()}
        _record(current, actor, task, "batch.started", told)
        return task.public_id


def stop(actor: Actor, public_id: UUID) -> None:
    """End it: what is not being sent yet gets its earlier status back. Raises `Refusal`.

    What is being sent at this moment is waited for, so that the report says how it ended.
    """
    with writing() as current:
        require(current, actor, "deliveries.stop")
        if is_stopping(find(public_id)):
            raise Refusal("This is stopped already. What is being sent now is waited for.")
        tasks.stop(actor, public_id, KIND)
        _see_off(current, find(public_id))
        _record(current, actor, find(public_id), "batch.stopped", {})


def go_on(actor: Actor, public_id: UUID) -> None:
    """Give the webhooks that failed too often another chance. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, PERMISSION)
        find(public_id)  # what is of another kind is not continued from here
        task = tasks.locked(current, public_id)
        if task.state in tasks.ENDED or is_stopping(task):
            raise Refusal("This has ended already. Start a new one for what is left.")
        refuse_while_stopped()
        task.cursor = {**task.cursor, "failures": {}, batches.SENDER: actor.user_id}
        task.state, task.due_at = TaskState.RUNNING, database_time(current)
        notify_after_commit(current, notify_tasks)
        _record(current, actor, task, "batch.went_on", {})


def find(public_id: UUID) -> Task:
    """The batch, for its page."""
    task = tasks.find(public_id)
    if task.kind != NAME:
        raise NotFound("There is no bulk retry at this address.")
    return task


def step(current: Session, task: Task) -> Step:
    """Collect, or watch and hand over: one short transaction."""
    try:
        require(current, tasks.actor_of(task), PERMISSION)
    except NotAllowed:
        # Whoever started it may no longer do so.
        return _stop_by_itself(current, task)
    if is_stopping(task):
        return _wait_for_the_last(current, task)
    if not task.cursor.get("collected"):
        _collect(current, task)
        return tasks.MORE
    return _work(current, task)


def is_stopping(task: Task) -> bool:
    """Whether somebody pressed Stop, and something is still being sent."""
    return bool(task.cursor.get(STOPPING)) and task.state not in tasks.ENDED


def _stop_by_itself(current: Session, task: Task) -> Step:
    if not is_stopping(task):
        take_back_all(current, task)
        task.stopped_by = "The portal"
        task.cursor = {**task.cursor, STOPPING: True}
    return _wait_for_the_last(current, task)


def _see_off(current: Session, task: Task) -> None:
    """Of a batch that was just stopped: let it live until what is on its way has ended."""
    if not bulk_retry_rows.left_by_webhook(current, task.id):
        return
    task.cursor = {**task.cursor, STOPPING: True}
    task.state, task.finished_at = TaskState.RUNNING, None
    task.due_at = database_time(current)
    notify_after_commit(current, notify_tasks)


def _wait_for_the_last(current: Session, task: Task) -> Step:
    bulk_retry_rows.settle(current, task)
    if bulk_retry_rows.left_by_webhook(current, task.id):
        return tasks.later(LOOK_AGAIN)
    task.finished_at = common_now()
    return Step(TaskState.STOPPED)


def _work(current: Session, task: Task) -> Step:
    ended = bulk_retry_rows.settle(current, task)
    handed = hand_over(current, task)
    left = bulk_retry_rows.left_by_webhook(current, task.id)
    if not left:
        return tasks.DONE
    if ended or handed:
        return tasks.MORE
    halted = bulk_retry_rows.halted(task)
    is_stuck = all(each.webhook_id in halted and not each.sent for each in left)
    return tasks.PAUSED if is_stuck else tasks.later(LOOK_AGAIN)


def _collect(current: Session, task: Task) -> None:
    choice = selection.from_params(task.params)
    rows, cursor = selection.page(choice, task.cursor.get("after"))
    mine = [row.id for row in rows if selection.why_skipped(row, choice.again) is None]
    # What another one has taken is left to it: nothing is sent twice because two people press.
    taken = retry.taken(current, mine)
    ids = [each for each in mine if each not in taken]
    if ids:
        chosen = select(literal(task.id), Delivery.id, Delivery.webhook_id, *_blank()).where(
            Delivery.id.in_(ids)
        )
        names = ["task_id", "delivery_id", "webhook_id", "outcome", "attempts", "message"]
        current.execute(insert(BatchRow).from_select(names, chosen))
    task.total += len(ids)
    task.cursor = {"after": cursor, "collected": cursor is None}


def _blank() -> tuple[Any, Any, Any]:
    return literal(str(RowOutcome.WAITING)), literal(0), literal("")


def _told(params: dict[str, Any]) -> dict[str, Any]:
    """What the audit trail says of a choice: how many were ticked, or the filter in force."""
    if "rest" in params:
        return {"rest_of": params["rest"]}
    if "ticked" in params:
        return {"deliveries": len(params["ticked"])}
    kept = {name: value for name, value in params["filter"].items() if value}
    return kept | ({"with_what_arrived": True} if params["again"] else {})


def _record(
    current: Session, actor: Actor, task: Task, action: str, changes: dict[str, Any]
) -> None:
    target = ("batch", task.public_id, "Bulk retry")
    audit.record(current, actor, action, target=target, changes=changes)


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
            requested_by=batches.sender(task).name,
        )
        .execution_options(synchronize_session=False)
    )
    notify(current)


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


STOP_PERMISSION: Final = "deliveries.stop"
# Without a name, which is in the audit trail: an erasure looks for names there.
TAKEN_OUT: Final = "It was taken out before it was sent."
TOO_LATE: Final = "It waits in no bulk retry any more: see how it stands."


def take_out(actor: Actor, public_id: UUID) -> None:
    """Leave this delivery out of the bulk retry in which it waits. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, STOP_PERMISSION)
        row_id = current.scalar(select(Delivery.id).where(Delivery.public_id == public_id))
        if row_id is None:
            raise NotFound("There is no delivery at this address.")
        found = retry.taken(current, [row_id]).get(row_id)
        if found is None:
            raise Refusal(TOO_LATE)
        task = tasks.locked(current, current.get_one(Task, found).public_id)
        mine = BatchRow.task_id == task.id, BatchRow.delivery_id == row_id
        left = update(BatchRow).where(*mine, BatchRow.outcome == RowOutcome.WAITING)
        gone = left.values(outcome=RowOutcome.SKIPPED, message=TAKEN_OUT)
        # What is handed over is on its way; Stop takes that back.
        if not current.execute(gone.returning(BatchRow.delivery_id)).all():
            raise Refusal(TOO_LATE)
        task.count(RowOutcome.SKIPPED)
        if not left_by_webhook(current, task.id):
            # It may be interrupted, and nobody has anything to continue now.
            task.state, task.due_at = TaskState.RUNNING, database_time(current)
            notify_after_commit(current, notify_tasks)
        changes = {"delivery": {"from": None, "to": str(public_id)}}
        target = ("batch", task.public_id, "Bulk retry")
        audit.record(current, actor, "batch.delivery_taken_out", target=target, changes=changes)


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=step, ended=take_back_all)
