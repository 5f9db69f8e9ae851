"""Whose turn it is to work at a task: claim, lease, fence. Used by the job alone.

A turn ends after a few seconds, and the task goes behind the others that are due. A worker that
was killed leaves a lease, which runs out; one that comes back too late finds its token gone.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Select, literal_column, or_, select, update
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.tasks import IS_UNDER_WAY, Task, TaskState
from portal.services.core import runs
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.tasks import tasks
from portal.services.tasks.tasks import Kind

# So many turns without one committed step, by errors or kills, and it is given up.
MOST_FAILURES: Final = 5
GIVEN_UP: Final = (
    "This stopped several times at the same place, because of a problem in this portal. "
    "Tell your administrator."
)

# Runs, told by name or by the question that finds them.
Over: TypeAlias = Collection[UUID] | Select[UUID | None]


@dataclass(frozen=True, slots=True)
class Turn:
    """A task that is ours to work at while its lease lives. `failures` counts this turn, too."""

    task_id: int
    public_id: UUID
    kind: str
    token: UUID
    failures: int


def has_due() -> bool:
    """Whether somebody should be working at a task and nobody is."""
    return has_due_on(session().connection())


def has_due_on(connection: Connection) -> bool:
    """The same on a connection of the caller's."""
    wanted = select(Task.id).where(*_is_due(database_now(connection))).limit(1)
    return connection.execute(wanted).first() is not None


def has_overdue(wait: timedelta) -> bool:
    """Whether something has been due for so long already. Reads only."""
    connection = session().connection()
    wanted = select(Task.id).where(*_is_due(database_now(connection) - wait)).limit(1)
    return connection.execute(wanted).first() is not None


def claim() -> Turn | None:
    """The task that has been due for longest, under a new lease; None when nothing is due."""
    with writing() as current:
        now = database_time(current)
        wanted = select(Task).where(*_is_due(now)).order_by(Task.due_at, Task.id).limit(1)
        task = current.scalars(wanted.with_for_update(skip_locked=True)).first()
        if task is None:
            return None
        task.state = TaskState.RUNNING
        task.started_at = task.started_at or common_now()
        task.failures += 1
        task.lease_token, task.lease_until = uuid4(), now + _lease()
        task.run = runs.own_run()
        return Turn(task.id, task.public_id, task.kind, task.lease_token, task.failures)


def advance(turn: Turn, kind: Kind) -> bool:
    """Do one step and save how far it got. False when the turn is over."""
    with writing() as current:
        task = _own(current, turn)
        if task is None:
            return False
        step = kind.step(current, task)
        task.failures = 0
        task.state = step.state
        if step == tasks.MORE:
            task.lease_until = database_now(current.connection()) + _lease()
            return True
        if step == tasks.DONE:
            task.finished_at = common_now()
        _let_go(current, task, step.wait or timedelta())
        return False


def release(turn: Turn, wait: timedelta = timedelta()) -> None:
    """End the turn; the task is due again after `wait`, behind the others."""
    with writing() as current:
        task = _own(current, turn)
        if task is not None:
            _let_go(current, task, wait)


def give_up(turn: Turn, kind: Kind | None) -> None:
    """End the task as failed. Without its kind (a version that knows it no more) as it is."""
    with writing() as current:
        task = _own(current, turn)
        if task is not None:
            known = kind or Kind(name=turn.kind, permission="", step=lambda *_: tasks.DONE)
            tasks.end(current, task, known, TaskState.FAILED, GIVEN_UP)


def held_by(now: datetime) -> Select[UUID | None]:
    """The runs that work at something."""
    return select(Task.run).where(Task.run.is_not(None), Task.lease_until > now)


def free_of(connection: Connection, over: Over, now: datetime) -> Iterable[UUID | None]:
    """End the leases of runs that are over; whose they were. What was done before has been kept."""
    theirs = update(Task).where(Task.run.in_(over), Task.lease_until > now).values(lease_until=now)
    return connection.execute(theirs.returning(Task.run)).scalars().all()


def _own(current: Session, turn: Turn) -> Task | None:
    """The row while it is still this turn's: not stopped, not taken over by another worker."""
    wanted = select(Task).where(Task.id == turn.task_id, Task.lease_token == turn.token)
    return current.scalars(wanted.with_for_update()).first()


def _let_go(current: Session, task: Task, wait: timedelta) -> None:
    task.lease_token = task.lease_until = task.run = None
    task.due_at = database_now(current.connection()) + wait


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    is_free = or_(Task.lease_until.is_(None), Task.lease_until <= now)
    # Literally as in the partial index, so that both databases use it.
    return literal_column(f"({IS_UNDER_WAY})"), Task.due_at <= now, is_free


def _lease() -> timedelta:
    return timedelta(seconds=settings().lease_margin)
