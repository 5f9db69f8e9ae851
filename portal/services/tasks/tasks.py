"""Long work: one mechanism for imports, bulk actions, batches and whatever else takes its time.

A task is a row. Its kind does a little of it in one transaction after the other, and moves the
row's cursor in the same one: killed at any instant it goes on where it was, each row once. Who
works is decided by a lease, as with deliveries (`leases`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.lib.clock import common_now
from portal.models.tasks import Task, TaskState
from portal.queue import task_bell
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, session, writing

T = TypeVar("T")

ROWS: Final = 25
SECONDS: Final = 0.1
ENDED: Final = frozenset({TaskState.DONE, TaskState.STOPPED, TaskState.FAILED})


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a task after one transaction of its work; see `MORE`, `later`, …"""

    state: TaskState
    wait: timedelta | None = None


MORE: Final = Step(TaskState.RUNNING)
DONE: Final = Step(TaskState.DONE)
# Until somebody has it continue.
PAUSED: Final = Step(TaskState.PAUSED)


def later(wait: timedelta) -> Step:
    """Nothing to do at the moment: look again after `wait`."""
    return Step(TaskState.RUNNING, wait)


def _nothing(_current: Session, _task: Task) -> None:
    """Most kinds leave nothing behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of long work (`task_kinds.KINDS` lists them).

    `step` does the next few rows in the caller's writing transaction and moves `task.cursor`,
    `done` and `counts` with them; what it raises rolls all of that back, and it is tried again.
    `ended` clears up, in the transaction that stops the task or gives it up; it must be short.
    `permission`: who may see the task and stop it; not `can_stop`: nobody may stop it.
    """

    name: str
    permission: str
    step: Callable[[Session, Task], Step]
    ended: Callable[[Session, Task], None] = _nothing
    can_stop: bool = True


def start(
    current: Session,
    actor: Actor,
    kind: str,
    *,
    total: int,
    params: Mapping[str, Any] | None = None,
) -> Task:
    """Store a piece of work in the caller's transaction; it begins right after the commit."""
    task = Task(
        kind=kind,
        params=dict(params or {}),
        total=total,
        due_at=database_time(current),
        actor_kind=actor.kind,
        actor_id=actor.user_id,
        actor_name=actor.name,
        origin=actor.origin,
    )
    current.add(task)
    current.flush()
    task_bell.ring_after_commit(current)
    return task


def find(public_id: UUID) -> Task:
    """The task, for its page."""
    wanted = select(Task).where(Task.public_id == public_id)
    task = session().execute(wanted).scalar_one_or_none()
    if task is None:
        raise NotFound("There is no such task at this address.")
    return task


def actor_of(task: Task, origin: Origin | None = None) -> Actor:
    """Whoever started it: its rows are done in that person's name, with that person's rights."""
    kind = ActorKind(task.actor_kind)
    return Actor(kind, task.actor_id, task.actor_name, origin or Origin(task.origin))


def stop(actor: Actor, public_id: UUID, kind: Kind) -> None:
    """End the task where it is. What is done stays done; nothing else will be."""
    with writing() as current:
        require(current, actor, kind.permission)
        if not kind.can_stop:
            raise Refusal("This cannot be stopped half-way. It continues until it is finished.")
        task = locked(current, public_id)
        if task.state in ENDED:
            raise Refusal("This has ended already. There is nothing left to stop.")
        task.stopped_by = actor.name
        end(current, task, kind, TaskState.STOPPED)


def begin_again(current: Session, task: Task) -> None:
    """Let a task that the caller has locked, and nobody works at, start from its first row."""
    task.state = TaskState.RUNNING
    task.cursor, task.counts, task.done, task.failures = {}, {}, 0, 0
    task.error, task.stopped_by, task.finished_at = "", None, None
    task.due_at = database_time(current)
    task_bell.ring_after_commit(current)


def end(current: Session, task: Task, kind: Kind, state: TaskState, error: str = "") -> None:
    """Stop or give up a task that the caller has locked."""
    task.state = state
    task.error = error
    task.lease_token = task.lease_until = None
    task.finished_at = common_now()
    kind.ended(current, task)


def locked(current: Session, public_id: UUID) -> Task:
    """The task's row for update: no step of it runs meanwhile."""
    wanted = select(Task).where(Task.public_id == public_id).with_for_update()
    task = current.execute(wanted.execution_options(populate_existing=True)).scalar_one_or_none()
    if task is None:
        raise NotFound("There is no such task at this address.")
    return task


def few(rows: Iterable[T]) -> Iterator[T]:
    """As many of `rows` as one transaction may take: at most `ROWS`, for about `SECONDS`."""
    until = time.monotonic() + SECONDS
    for number, row in enumerate(rows):
        if number and (number >= ROWS or time.monotonic() >= until):
            return
        yield row


def refusal_of(current: Session, verb: Callable[[], object]) -> Refusal | None:
    """Run one row's verb; a refusal undoes this row alone and is returned."""
    try:
        with current.begin_nested():
            verb()
    except Refusal as refusal:
        return refusal
    return None
