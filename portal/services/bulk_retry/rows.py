"""The rows of a bulk retry: what is left of them, and how those ended that were handed over."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.retry_policy import AttemptKind
from portal.models.batches import BatchRow, RowOutcome
from portal.models.deliveries import (
    Attempt,
    AttemptOutcome,
    Delivery,
    Lease,
    Priority,
)
from portal.models.tasks import Task
from portal.services.core.skip_scan import skip_scan

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
