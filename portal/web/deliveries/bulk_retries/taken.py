"""What is in a bulk retry now: who sends it, in the place of a Retry."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from flask_login import current_user

from portal.engine.reasons import Reason, alike
from portal.models.tasks import Task, TaskState
from portal.services.bulk_retry import runs
from portal.services.core.unit_of_work import session
from portal.services.deliveries import queued_rows
from portal.services.deliveries.log.rows import LogRow
from portal.web.frame.wording import counted


@dataclass(frozen=True, slots=True)
class QueuedDeliveries:
    """Those of problems, by webhook and reason, with the bulk retries that they wait in."""

    by_problem: dict[tuple[UUID, str | None], dict[int, int]] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)

    def count(self, webhook: UUID, reason: Reason | None) -> int:
        """How many of a problem."""
        return sum(self._tasks(webhook, reason).values())

    def words(self, webhook: UUID, reason: Reason | None) -> list[str]:
        """ "Sam is retrying 9 of these now": of each bulk retry."""
        found = self._tasks(webhook, reason)
        return [
            _words(self.tasks[task_id], f"{counted(n)} of these", many=n != 1)
            for task_id, n in found.items()
        ]

    def _tasks(self, webhook: UUID, reason: Reason | None) -> dict[int, int]:
        found: dict[int, int] = {}
        for key in map(str, alike(reason)) if reason else [None]:
            for task_id, many in self.by_problem.get((webhook, key), {}).items():
                found[task_id] = found.get(task_id, 0) + many
        return found


def queued() -> QueuedDeliveries:
    """All that waits in bulk retries now."""
    found = queued_rows.queued(session())
    ids = {task_id for each in found.values() for task_id in each}
    return QueuedDeliveries(found, {task.id: task for task in runs.named(list(ids))})


def taken_words(rows: Sequence[LogRow]) -> dict[UUID, str]:
    """Those of a page of the log that are in a bulk retry now, each with who sends it."""
    taken = queued_rows.taken(session(), [row.id for row in rows])
    tasks = {task.id: task for task in runs.named(list(set(taken.values())))}
    return {row.public_id: _words(tasks[taken[row.id]], "it") for row in rows if row.id in taken}


def taken_now(row_id: int) -> str:
    """Who sends the delivery with this row id in a bulk retry now; blank where nobody does."""
    found = queued_rows.taken(session(), [row_id])
    return "".join(_words(task, "it") for task in runs.named(list(found.values())))


def _words(task: Task, which: str, *, many: bool = False) -> str:
    by = runs.sender(task)
    is_mine = by.user_id is not None and by.user_id == current_user.user_id
    if task.state == TaskState.PAUSED:
        whose = "your bulk retry" if is_mine else f"the bulk retry of {by.name}"
        waits = "wait" if many else "waits"
        return f"{which[:1].upper()}{which[1:]} {waits} in {whose}, which was interrupted"
    return f"{'You are' if is_mine else f'{by.name} is'} retrying {which} now"
