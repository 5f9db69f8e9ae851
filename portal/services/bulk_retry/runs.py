"""Bulk retries as things: all of them, those under way, what each of them has left."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from portal.lib.paging import Page
from portal.models.batches import BatchRow, RowOutcome
from portal.models.people import User
from portal.models.tasks import Task
from portal.services.core.keyset import newest_first
from portal.services.core.unit_of_work import session
from portal.services.deliveries.queued_rows import NAME, UNDER_WAY

MOST: Final = 50
# In the cursor: the row id of who had it continue after an interruption.
SENDER: Final = "sender"
LATER: Final = 1000  # bulk retries that are looked through for one that took up the rest


def find_page(cursor: str | None = None) -> Page[Task]:
    """All of them beside the cursor, the newest first. Reads only."""
    return newest_first(_all(), Task.id, cursor)


def under_way() -> Sequence[Task]:
    """Those that run, wait, or were interrupted, the newest first; no more than `MOST`."""
    wanted = _all().where(Task.state.in_(UNDER_WAY)).order_by(Task.id.desc())
    return session().scalars(wanted.limit(MOST)).all()


def named(ids: Sequence[int]) -> Sequence[Task]:
    """These, by their row ids."""
    return session().scalars(_all().where(Task.id.in_(ids)).order_by(Task.id)).all()


class Retrier(NamedTuple):
    """Who sends a bulk retry: whoever started it, or had it continue last."""

    user_id: int | None
    name: str


def sender(task: Task) -> Retrier:
    """Who sends this one. Reads a name where that is not who started it."""
    by = task.cursor.get(SENDER)
    if by is None or by == task.actor_id:
        return Retrier(task.actor_id, task.actor_name)
    name = session().scalar(select(User.name).where(User.id == by))
    return Retrier(by, name or task.actor_name)


def remaining(task: Task) -> int:
    """How many of its deliveries have not been sent and ended, of those that were found."""
    return max(0, task.total - task.done)


def taken_up(tasks: Sequence[Task]) -> set[UUID]:
    """Those of these whose rest a later one has taken up, by public id."""
    if not tasks:
        return set()
    oldest = min(task.id for task in tasks)
    later = select(Task.params).where(Task.kind == NAME, Task.id > oldest).order_by(Task.id)
    found = session().scalars(later.limit(LATER)).all()
    return {UUID(params["rest"]) for params in found if "rest" in params}


def unsent(current: Session, batch: UUID, below: int | None, most: int) -> Sequence[int]:
    """The row ids of deliveries that a stopped one did not send, the newest first."""
    wanted = (
        select(BatchRow.delivery_id)
        .join(Task, Task.id == BatchRow.task_id)
        .where(Task.public_id == batch, Task.kind == NAME, BatchRow.outcome == RowOutcome.UNSENT)
        .order_by(BatchRow.delivery_id.desc())
        .limit(most)
    )
    if below is not None:
        wanted = wanted.where(BatchRow.delivery_id < below)
    return current.scalars(wanted).all()


def _all() -> Select[Task]:
    return select(Task).where(Task.kind == NAME)
