"""Store long work as tasks, lease each one to one worker, and save its progress."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Select, literal_column, or_, select, update
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.engine.events.body import ActorKind, Origin
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.tasks import IS_UNDER_WAY, Task, TaskState
from portal.queue.notifier import notify_after_commit, notify_tasks
from portal.services.core import heartbeats
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, session, writing

T = TypeVar("T")

ROWS: Final = 25
SECONDS: Final = 0.1
ENDED: Final = frozenset({TaskState.DONE, TaskState.STOPPED, TaskState.FAILED})


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one transaction of a task, such as `MORE` or `later`."""

    state: TaskState
    wait: timedelta | None = None


MORE: Final = Step(TaskState.RUNNING)
DONE: Final = Step(TaskState.DONE)
# until a person resumes it
PAUSED: Final = Step(TaskState.PAUSED)


def later(wait: timedelta) -> Step:
    """Return a step that had nothing to do, for the task to continue after `wait`."""
    return Step(TaskState.RUNNING, wait)


def _nothing(_current: Session, _task: Task) -> None:
    """Clean up nothing, because most kinds leave nothing behind."""


def _one_step(_current: Session, _task: Task) -> Step:
    """Fill `step` for kinds with `outside`, which returns the step to run."""
    return DONE


class LeaseOver(Exception):
    """The lease of the work outside ended. A person stopped it, or this process must end."""


# Renews the lease and saves the number done so far. Raises `LeaseOver`.
Renew: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of long work (`task_kinds.KINDS` lists them).

    `step` does the next few rows in the caller's writing transaction and moves `task.cursor`,
    `done`, and `counts` with them. If it raises, all of that is rolled back and tried again.
    `ended` cleans up in the transaction that stops the task or gives it up, so it must be short.
    `permission` is needed to see the task and to stop it. Without `can_stop`, no one can stop it.
    `pause` is the seconds between two steps. SQLite has one writer and no queue for it, so without
    a gap no one else could write. `outside` does slow work in its own thread, without a
    transaction. It calls `Renew` now and then, and returns the one step that saves its work.
    """

    name: str
    permission: str
    step: Callable[[Session, Task], Step] = _one_step
    outside: Callable[["Renew"], Callable[[Session, Task], Step]] | None = None
    ended: Callable[[Session, Task], None] = _nothing
    can_stop: bool = True
    pause: float = 0.03


def start(
    current: Session,
    actor: Actor,
    kind: str,
    *,
    total: int,
    params: Mapping[str, Any] | None = None,
) -> Task:
    """Store a task in the caller's transaction. It begins right after the commit."""
    task = Task(
        kind=kind,
        params=dict(params or {}),
        total=total,
        due_at=database_time(current),
        actor_kind=actor.kind,
        actor_id=actor.user_id,
        actor_name=actor.name,
        token_id=actor.token_id,
        origin=actor.origin,
    )
    current.add(task)
    current.flush()
    notify_after_commit(current, notify_tasks)
    return task


def find(public_id: UUID) -> Task:
    """Return the task for its page. Raises `NotFound`."""
    query = select(Task).where(Task.public_id == public_id)
    task = session().execute(query).scalar_one_or_none()
    if task is None:
        raise NotFound("There’s no task at this URL.")
    return task


def actor_of(task: Task, origin: Origin | None = None) -> Actor:
    """Return the actor who started the task. Its rows use this actor's name and rights."""
    by = ActorKind(task.actor_kind), task.actor_id, task.actor_name
    return Actor(*by, origin or Origin(task.origin), token_id=task.token_id)


def stop(actor: Actor, public_id: UUID, kind: Kind) -> None:
    """End the task now. Finished rows stay done."""
    with writing() as current:
        require(current, actor, kind.permission)
        if not kind.can_stop:
            raise Refusal("You can’t stop this work. It runs until it finishes.")
        task = locked(current, public_id)
        if task.state in ENDED:
            raise Refusal("This work has already ended.")
        task.stopped_by = actor.name
        end(current, task, kind, TaskState.STOPPED)


def begin_again(current: Session, task: Task) -> None:
    """Restart a task from its first row. The caller has locked it, and no worker leases it."""
    task.state = TaskState.RUNNING
    task.cursor, task.counts, task.done, task.failures = {}, {}, 0, 0
    task.error, task.stopped_by, task.finished_at = "", None, None
    task.due_at = database_time(current)
    notify_after_commit(current, notify_tasks)


def end(current: Session, task: Task, kind: Kind, state: TaskState, error: str = "") -> None:
    """Stop or give up a task that the caller has locked."""
    task.state = state
    task.error = error
    task.lease_token = task.lease_until = None
    task.finished_at = common_now()
    kind.ended(current, task)


def locked(current: Session, public_id: UUID) -> Task:
    """Return the task, locked so that no step of it runs. Raises `NotFound`."""
    query = select(Task).where(Task.public_id == public_id).with_for_update()
    task = current.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if task is None:
        raise NotFound("There’s no task at this URL.")
    return task


def few(rows: Iterable[T]) -> Iterator[T]:
    """Yield the rows for one transaction, at most `ROWS` and for about `SECONDS`."""
    until = time.monotonic() + SECONDS
    for number, row in enumerate(rows):
        if number and (number >= ROWS or time.monotonic() >= until):
            return
        yield row


def refusal_of(current: Session, verb: Callable[[], object]) -> Refusal | None:
    """Run one row's action in a savepoint. Return its refusal, which undoes this row alone."""
    try:
        with current.begin_nested():
            verb()
    except Refusal as refusal:
        return refusal
    return None


# Leases without a committed step, after errors or kills, until a task is given up.
MOST_FAILURES: Final = 5
GIVEN_UP: Final = "This work failed several times at the same point. Contact your administrator."

# ids, or a query for them
Processes: TypeAlias = Collection[UUID] | Select[UUID | None]


@dataclass(frozen=True, slots=True)
class TaskLease:
    """A lease on a task. `failures` counts this lease too."""

    task_id: int
    public_id: UUID
    kind: str
    token: UUID
    failures: int


def has_due(connection: Connection | None = None, since: timedelta = timedelta()) -> bool:
    """Return whether a task has been due for at least `since` without a lease."""
    connection = connection or session().connection()
    due = select(Task.id).where(*_is_due(database_now(connection) - since)).limit(1)
    return connection.execute(due).first() is not None


def claim() -> TaskLease | None:
    """Lease the task that has been due for longest. Return None if nothing is due."""
    with writing() as current:
        now = database_time(current)
        query = select(Task).where(*_is_due(now)).order_by(Task.due_at, Task.id).limit(1)
        task = current.scalars(query.with_for_update(skip_locked=True)).first()
        if task is None:
            return None
        task.state = TaskState.RUNNING
        task.started_at = task.started_at or common_now()
        task.failures += 1
        task.lease_token, task.lease_until = uuid4(), now + _lease()
        task.run = heartbeats.own_process()
        return TaskLease(task.id, task.public_id, task.kind, task.lease_token, task.failures)


def advance(lease: TaskLease, kind: Kind) -> bool:
    """Run one step and save its progress. Return whether this lease continues."""
    with writing() as current:
        task = _own(current, lease)
        if task is None:
            return False
        step = kind.step(current, task)
        task.failures = 0
        task.state = step.state
        if step == MORE:
            task.lease_until = database_now(current.connection()) + _lease()
            return True
        if step.state in ENDED:
            task.finished_at = common_now()
        _let_go(current, task, step.wait or timedelta())
        return False


def renew(lease: TaskLease, done: int) -> None:
    """Renew the lease of work outside of transactions. Raises `LeaseOver`."""
    with writing() as current:
        task = _own(current, lease)
        if task is None:
            raise LeaseOver
        task.done = min(done, task.total)
        task.lease_until = database_now(current.connection()) + _lease()


def release(lease: TaskLease, wait: timedelta = timedelta()) -> None:
    """End the lease. The task is due again after `wait`, behind the others."""
    with writing() as current:
        task = _own(current, lease)
        if task is not None:
            _let_go(current, task, wait)


def give_up(lease: TaskLease, kind: Kind | None) -> None:
    """End the task as failed. Without `kind`, unknown to this version, nothing is cleaned up."""
    with writing() as current:
        task = _own(current, lease)
        if task is not None:
            known = kind or Kind(name=lease.kind, permission="", step=lambda *_: DONE)
            end(current, task, known, TaskState.FAILED, GIVEN_UP)


def held_by(now: datetime) -> Select[UUID | None]:
    """Select the processes that hold a live lease."""
    return select(Task.run).where(Task.run.is_not(None), Task.lease_until > now)


def end_leases(
    connection: Connection, processes: Processes, now: datetime
) -> Iterable[UUID | None]:
    """End the leases of processes that have ended, and return the process of each lease.

    Their committed steps are kept.
    """
    held = update(Task).where(Task.run.in_(processes), Task.lease_until > now)
    ended = held.values(lease_until=now).returning(Task.run)
    return connection.execute(ended).scalars().all()


def _own(current: Session, lease: TaskLease) -> Task | None:
    """Lock the lease's task. Return None if it was stopped or another worker leased it."""
    query = select(Task).where(Task.id == lease.task_id, Task.lease_token == lease.token)
    return current.scalars(query.with_for_update()).first()


def _let_go(current: Session, task: Task, wait: timedelta) -> None:
    task.lease_token = task.lease_until = task.run = None
    task.due_at = database_now(current.connection()) + wait


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    is_free = or_(Task.lease_until.is_(None), Task.lease_until <= now)
    # The same text as in the partial index, so that both databases use it.
    return literal_column(f"({IS_UNDER_WAY})"), Task.due_at <= now, is_free


def _lease() -> timedelta:
    return timedelta(seconds=settings().lease_margin)
