"""What is in a bulk retry now: who sends it, in the place of a Retry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from flask_login import current_user

from portal.engine.reasons import Reason, alike
from portal.services.bulk_retry import runs
from portal.services.bulk_retry.runs import Retrier
from portal.services.bulk_retry.standstill import Standstill, standstills
from portal.services.core.unit_of_work import session
from portal.services.deliveries import queued_rows
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.deliveries.log.rows import LogRow
from portal.services.outbox.status import ShownStatus
from portal.web.frame.wording import counted

# What to tell whoever asks about one.
TO_THE_CALLER: Final = {
    None: "It is being sent again now, in a bulk retry.",
    Standstill.INTERRUPTED: "It waits in a bulk retry that was interrupted: somebody has to "
    "continue it.",
    Standstill.STOPPED: "We have stopped all sending for now. It is going to be sent again, in a "
    "bulk retry, once that is started again.",
    Standstill.RECEIVER: "It is going to be sent again, in a bulk retry.",
}


@dataclass(frozen=True, slots=True)
class QueuedDeliveries:
    """Those of problems, by webhook and reason, with the bulk retries that they wait in: who sends
    each (by its row id), and where that sends nothing at this moment.
    """

    by_problem: dict[tuple[UUID, str | None], dict[int, int]] = field(default_factory=dict)
    senders: dict[int, Retrier] = field(default_factory=dict)
    still: dict[tuple[int, UUID], Standstill] = field(default_factory=dict)

    def count(self, webhook: UUID, reason: Reason | None) -> int:
        """How many of a problem."""
        return sum(self._tasks(webhook, reason).values())

    def words(self, webhook: UUID, reason: Reason | None) -> list[str]:
        """ "Sam is retrying 9 of these now": of each person, and what is not sent now apart."""
        found: dict[tuple[int | str, Standstill | None], list[tuple[Retrier, int]]] = {}
        for task_id, many in self._tasks(webhook, reason).items():
            by, still = self.senders[task_id], self.still.get((task_id, webhook))
            found.setdefault((by.user_id or by.name, still), []).append((by, many))
        return [
            _words(each[0][0], still, many=sum(many for _, many in each), in_runs=len(each))
            for (_, still), each in found.items()
        ]

    def _tasks(self, webhook: UUID, reason: Reason | None) -> dict[int, int]:
        found: dict[int, int] = {}
        for key in map(str, alike(reason)) if reason else [None]:
            for task_id, many in self.by_problem.get((webhook, key), {}).items():
                found[task_id] = found.get(task_id, 0) + many
        return found


class TakenDelivery(NamedTuple):
    """One in a bulk retry: who sends it, and what to tell whoever asks about it."""

    words: str
    to_the_caller: str


def queued() -> QueuedDeliveries:
    """All that waits in bulk retries now."""
    found = queued_rows.queued(session())
    tasks = runs.named(list({task_id for each in found.values() for task_id in each}))
    still = standstills(tasks, {webhook for webhook, _ in found})
    return QueuedDeliveries(found, {task.id: runs.sender(task) for task in tasks}, still)


def taken_words(rows: Sequence[LogRow]) -> dict[UUID, str]:
    """Those of a page of the log that are in a bulk retry now, each with who sends it."""
    found = _taken({row.id: (row.webhook_id, row.status) for row in rows})
    return {row.public_id: found[row.id].words for row in rows if row.id in found}


def taken_now(delivery: DeliveryDetail) -> TakenDelivery | None:
    """How this one stands that is in a bulk retry now; None where it is in none."""
    at = delivery.webhook_id, delivery.status
    return _taken({delivery.row_id: at}).get(delivery.row_id)


def _taken(places: Mapping[int, tuple[UUID, ShownStatus]]) -> dict[int, TakenDelivery]:
    """Of deliveries by row id, with webhook and status: those in a bulk retry."""
    taken = queued_rows.taken(session(), list(places))
    tasks = runs.named(list(set(taken.values())))
    senders = {task.id: runs.sender(task) for task in tasks}
    all_still = standstills(tasks, {places[row_id][0] for row_id in taken})
    found = {}
    for row_id, task_id in taken.items():
        webhook, status = places[row_id]
        is_sent = status is ShownStatus.SENDING
        still = None if is_sent else all_still.get((task_id, webhook))
        found[row_id] = TakenDelivery(_words(senders[task_id], still), TO_THE_CALLER[still])
    return found


def _words(by: Retrier, still: Standstill | None, *, many: int = 0, in_runs: int = 1) -> str:
    """`many`: of a problem, in so many bulk retries of this person; 0: it is one delivery."""
    is_mine = by.user_id is not None and by.user_id == current_user.user_id
    which = f"{counted(many)} of these" if many else "it"
    if still is None:
        return f"{'You are' if is_mine else f'{by.name} is'} retrying {which} now"
    run = "bulk retry" if in_runs == 1 else "bulk retries"
    whose = f"your {run}" if is_mine else f"the {run} of {by.name}"
    was = "was" if in_runs == 1 else "were"
    end = f", which {was} interrupted" if still is Standstill.INTERRUPTED else ""
    return f"{which[:1].upper()}{which[1:]} {'wait' if many > 1 else 'waits'} in {whose}{end}"
