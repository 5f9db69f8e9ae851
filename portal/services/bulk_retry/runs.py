"""Bulk retries as things: all of them, those under way, what each of them has left or has taken."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from portal.lib.paging import Page
from portal.models.batches import BatchRow, RowOutcome
from portal.models.deliveries import Delivery
from portal.models.people import User
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.services.core.keyset import newest_first
from portal.services.core.unit_of_work import session

NAME: Final = "bulk_retry"
# Of these, rows are still to be sent.
UNDER_WAY: Final = (TaskState.WAITING, TaskState.RUNNING, TaskState.PAUSED)
MOST: Final = 50
MOST_QUEUED: Final = 5000
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


def taken(current: Session, ids: Sequence[int], but: int | None = None) -> dict[int, int]:
    """Which of these deliveries are in a bulk retry now: the row id of each one's task."""
    if not ids:
        return {}
    running = select(Task.id).where(Task.kind == NAME, Task.state.in_(UNDER_WAY), Task.id != but)
    wanted = select(BatchRow.delivery_id, BatchRow.task_id).where(
        BatchRow.task_id.in_(current.scalars(running).all()),
        BatchRow.delivery_id.in_(ids),
        BatchRow.outcome.in_([RowOutcome.WAITING, RowOutcome.SENT]),
    )
    return {row.delivery_id: row.task_id for row in current.execute(wanted)}


def queued(current: Session) -> dict[tuple[UUID, str | None], dict[int, int]]:
    """What is still to be sent in bulk retries now: by webhook and the reason of the last attempt,
    how many of which task (its row id). Of many the first `MOST_QUEUED`."""
    running = select(Task.id).where(Task.kind == NAME, Task.state.in_(UNDER_WAY))
    ids = current.scalars(running).all()
    if not ids:
        return {}
    some = (
        select(BatchRow.task_id, BatchRow.delivery_id)
        .where(BatchRow.task_id.in_(ids), BatchRow.outcome == RowOutcome.WAITING)
        .limit(MOST_QUEUED)
        .subquery()
    )
    found: dict[tuple[UUID, str | None], dict[int, int]] = {}
    rows = current.execute(
        select(Webhook.public_id, Delivery.reason, some.c.task_id, func.count())
        .select_from(some)
        .join(Delivery, Delivery.id == some.c.delivery_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .group_by(Webhook.public_id, Delivery.reason, some.c.task_id)
    )
    for webhook, reason, task_id, many in rows:
        found.setdefault((webhook, reason), {})[task_id] = many
    return found


def _all() -> Select[Task]:
    return select(Task).where(Task.kind == NAME)
