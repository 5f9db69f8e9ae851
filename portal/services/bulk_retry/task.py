"""Bulk retry: many deliveries once more, a few at a time, behind everything that is new.

A task (`tasks`) that collects its rows, hands at most `MOST_UNDER_WAY` of them to the workers at
priority bulk, and watches how they end. It sends nothing itself.
"""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, literal, select
from sqlalchemy.orm import Session

from portal.lib.clock import common_now
from portal.models.batches import BatchRow, RowOutcome
from portal.models.deliveries import Delivery
from portal.models.tasks import Task, TaskState
from portal.queue import task_bell
from portal.services.audit import trail
from portal.services.bulk_retry import handover, runs, selection, stored_choice
from portal.services.bulk_retry import rows as bulk_retry_rows
from portal.services.bulk_retry.selection import Selection
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import database_time, writing
from portal.services.deliveries import queued_rows
from portal.services.outbox.sending_switch import refuse_while_stopped
from portal.services.tasks import tasks
from portal.services.tasks.tasks import Kind, Step

NAME: Final = queued_rows.NAME
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
        params = stored_choice.as_params(choice)
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
        task.cursor = {**task.cursor, "failures": {}, runs.SENDER: actor.user_id}
        task.state, task.due_at = TaskState.RUNNING, database_time(current)
        task_bell.ring_after_commit(current)
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
        handover.take_back_all(current, task)
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
    task_bell.ring_after_commit(current)


def _wait_for_the_last(current: Session, task: Task) -> Step:
    bulk_retry_rows.settle(current, task)
    if bulk_retry_rows.left_by_webhook(current, task.id):
        return tasks.later(LOOK_AGAIN)
    task.finished_at = common_now()
    return Step(TaskState.STOPPED)


def _work(current: Session, task: Task) -> Step:
    ended = bulk_retry_rows.settle(current, task)
    handed = handover.hand_over(current, task)
    left = bulk_retry_rows.left_by_webhook(current, task.id)
    if not left:
        return tasks.DONE
    if ended or handed:
        return tasks.MORE
    halted = bulk_retry_rows.halted(task)
    is_stuck = all(each.webhook_id in halted and not each.sent for each in left)
    return tasks.PAUSED if is_stuck else tasks.later(LOOK_AGAIN)


def _collect(current: Session, task: Task) -> None:
    choice = stored_choice.from_params(task.params)
    rows, cursor = selection.page(choice, task.cursor.get("after"))
    mine = [row.id for row in rows if selection.why_skipped(row, choice.again) is None]
    # What another one has taken is left to it: nothing is sent twice because two people press.
    taken = queued_rows.taken(current, mine)
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
    trail.record(current, actor, action, target=target, changes=changes)


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=step, ended=handover.take_back_all)
