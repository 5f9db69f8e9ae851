"""Read bulk retries and their rows: how far each is, and what holds one up."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, update
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.retry_policy import AttemptKind
from portal.lib.paging import Page
from portal.models.deliveries import (
    Attempt,
    AttemptOutcome,
    BatchRow,
    Delivery,
    Lease,
    Priority,
    RowOutcome,
)
from portal.models.people import User
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.services.core.keyset import newest_first
from portal.services.core.queries import skip_scan
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.retry import NAME, UNDER_WAY
from portal.services.outbox.due import find_stop

MOST_FAILURES: Final = 10
TAKEN_BACK: Final = "It was taken back before it was sent."
NOT_KEPT: Final = "It is no longer kept."
WAITING: Final = skip_scan("batch_rows", "webhook_id", "task_id = :task AND outcome = :outcome")
CUT_OFF: Final = "It was cut off several times while it was being sent."


@dataclass(frozen=True, slots=True)
class Left:
    """What a batch still has to do for one webhook: whether rows wait, how many are sent."""

    webhook_id: int
    waits: bool
    sent: int


def left_by_webhook(current: Session, task_id: int) -> list[Left]:
    """The webhooks with rows that have not ended, by their ids.

    Does not count what waits: that is most of a long batch, and this is asked at every step.
    """
    given = {"task": task_id, "outcome": RowOutcome.WAITING}
    waiting = set(current.execute(WAITING, given).scalars())
    sent = _counted(current, task_id, BatchRow.outcome == RowOutcome.SENT)
    either = sorted(waiting | sent.keys())
    return [Left(each, each in waiting, sent.get(each, 0)) for each in either]


def count_waiting(current: Session, task_id: int, webhook_ids: Sequence[int]) -> dict[int, int]:
    """How many rows of each of these webhooks wait."""
    mine = BatchRow.webhook_id.in_(webhook_ids)
    return _counted(current, task_id, BatchRow.outcome == RowOutcome.WAITING, mine)


def count_tried(
    current: Session, task_id: int, webhook_ids: Sequence[int], now: datetime
) -> dict[int, int]:
    """How many rows of each of these webhooks are being sent at this moment. `now`: the
    database's clock."""
    mine = BatchRow.webhook_id.in_(webhook_ids)
    is_leased = exists().where(Lease.delivery_id == BatchRow.delivery_id, Lease.until > now)
    return _counted(current, task_id, BatchRow.outcome == RowOutcome.SENT, mine, is_leased)


def _counted(current: Session, task_id: int, *wanted: ColumnElement[bool]) -> dict[int, int]:
    mine = BatchRow.task_id == task_id
    counts = select(BatchRow.webhook_id, func.count()).where(mine, *wanted)
    rows = current.execute(counts.group_by(BatchRow.webhook_id))
    return {row[0]: row[1] for row in rows}


def halted(task: Task) -> set[int]:
    """The webhooks at which so many in a row failed that a person has to say Go on."""
    failures: dict[str, int] = task.cursor.get("failures", {})
    return {int(each) for each, count in failures.items() if count >= MOST_FAILURES}


def trust(task: Task, webhook_id: int) -> int | None:
    """How many at once its next failures allow; None once one arrived and none failed since."""
    failures: dict[str, int] = task.cursor.get("failures", {})
    in_row = failures.get(str(webhook_id))
    return None if in_row == 0 else max(0, MOST_FAILURES - (in_row or 0))


def settle(current: Session, task: Task) -> int:
    """Note how rows ended since the last look; return how many did."""
    rows = current.execute(_sent(task.id)).all()
    ends = _ends(current, rows)
    failures: dict[str, int] = dict(task.cursor.get("failures", {}))
    found: dict[tuple[RowOutcome, str], list[int]] = defaultdict(list)
    for row in sorted(rows, key=lambda each: _at(ends.get(each.delivery_id))):
        end = _outcome(row, ends.get(row.delivery_id))
        if end is None:
            continue
        found[end].append(row.delivery_id)
        outcome = end[0]
        key = str(row.webhook_id)
        if outcome == RowOutcome.FAILED:
            failures[key] = failures.get(key, 0) + 1
        elif outcome == RowOutcome.DELIVERED:
            failures[key] = 0
    for (outcome, message), ids in found.items():
        set_rows(current, task, ids, outcome=outcome, message=message)
        task.count(outcome, len(ids))
    task.cursor = {**task.cursor, "failures": failures}
    return sum(map(len, found.values()))


def set_rows(current: Session, task: Task, ids: Iterable[int], **values: Any) -> None:
    """Change rows of a batch by their deliveries' ids."""
    mine = [BatchRow.task_id == task.id, BatchRow.delivery_id.in_(list(ids))]
    statement = update(BatchRow).where(*mine).values(**values)
    current.execute(statement.execution_options(synchronize_session=False))


def _sent(task_id: int) -> Any:
    return (
        select(
            BatchRow.delivery_id,
            BatchRow.webhook_id,
            BatchRow.attempts,
            Delivery.id,
            Delivery.priority,
            Delivery.prior_status,
        )
        .outerjoin(Delivery, Delivery.id == BatchRow.delivery_id)
        .where(BatchRow.task_id == task_id, BatchRow.outcome == RowOutcome.SENT)
    )


def _ends(current: Session, rows: Sequence[AnyRow]) -> dict[int, AnyRow]:
    """The first manual attempt since each row was handed over that came to an end of its own.

    Where there is none, the last that was cut off.
    """
    before = {row.delivery_id: row.attempts for row in rows}
    if not before:
        return {}
    found = current.execute(
        select(Attempt.delivery_id, Attempt.number, Attempt.outcome, Attempt.finished_at).where(
            Attempt.delivery_id.in_(before),
            Attempt.kind == AttemptKind.MANUAL,
            Attempt.outcome != AttemptOutcome.UNREACHED,
        )
    )
    later = [each for each in found if each.number > before[each.delivery_id]]
    later.sort(key=lambda each: (each.outcome != AttemptOutcome.INTERRUPTED, -each.number))
    return {each.delivery_id: each for each in later}


def _at(end: AnyRow | None) -> float:
    return end.finished_at.timestamp() if end is not None and end.finished_at else 0.0


def _outcome(row: AnyRow, end: AnyRow | None) -> tuple[RowOutcome, str] | None:
    """How a row ended, and why; None while it is under way."""
    if end is not None and end.outcome != AttemptOutcome.INTERRUPTED:
        return RowOutcome(end.outcome), ""
    if row.priority == Priority.BULK and row.prior_status is not None:
        return None
    if row.id is None:
        return RowOutcome.SKIPPED, NOT_KEPT
    return (RowOutcome.FAILED, CUT_OFF) if end is not None else (RowOutcome.SKIPPED, TAKEN_BACK)


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


class Standstill(StrEnum):
    """What is waited for: that somebody continues it, that all sending is started again, or that
    a receiver responds that is left alone meanwhile."""

    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    RECEIVER = "receiver"


def standstills(
    tasks: Iterable[Task], webhooks: Collection[UUID]
) -> dict[tuple[int, UUID], Standstill]:
    """Where these send nothing now, and why: by the task's row id and the webhook. Reads only."""
    known = list(tasks)
    if not known:
        return {}
    current = session()
    now = database_time(current)
    alone = or_(Webhook.throttled, Webhook.not_before > now).label("is_left_alone")
    wanted = select(Webhook.id, Webhook.public_id, alone).where(Webhook.public_id.in_(webhooks))
    rows, is_stopped = current.execute(wanted).all(), find_stop() is not None
    found: dict[tuple[int, UUID], Standstill] = {}
    for task in known:
        broken = halted(task)
        for row in rows:
            if task.state == TaskState.PAUSED or row.id in broken:
                found[task.id, row.public_id] = Standstill.INTERRUPTED
            elif is_stopped:
                found[task.id, row.public_id] = Standstill.STOPPED
            elif row.is_left_alone:
                found[task.id, row.public_id] = Standstill.RECEIVER
    return found
