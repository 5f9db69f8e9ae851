"""What is in a bulk retry now: who sends it, in the place of a Retry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from flask import url_for
from flask_login import current_user
from markupsafe import Markup

from portal.engine.reasons import Reason, alike
from portal.models.tasks import Task
from portal.services.bulk_retry import runs
from portal.services.bulk_retry.runs import Retrier
from portal.services.bulk_retry.standstill import Standstill, standstills
from portal.services.core.unit_of_work import session
from portal.services.deliveries import queued_rows
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.deliveries.log.rows import LogRow
from portal.services.deliveries.queued_rows import Queued
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


class _Part(NamedTuple):
    """What of a problem is in one bulk retry: who sends it, how many, where that is shown."""

    by: Retrier
    many: int
    url: str


@dataclass(frozen=True, slots=True)
class QueuedDeliveries:
    """Those of problems, by webhook and reason, with the bulk retries that they wait in: who sends
    each (by its row id), and where that sends nothing at this moment.
    """

    by_problem: dict[tuple[UUID, str | None], dict[int, Queued]] = field(default_factory=dict)
    senders: dict[int, Retrier] = field(default_factory=dict)
    still: dict[tuple[int, UUID], Standstill] = field(default_factory=dict)
    urls: dict[int, str] = field(default_factory=dict)

    def count(self, webhook: UUID, reason: Reason | None) -> int:
        """How many of a problem wait in them: what is handed over goes out by itself."""
        return sum(each.waiting for each in self._tasks(webhook, reason).values())

    def words(self, webhook: UUID, reason: Reason | None) -> list[str]:
        """ "Sam is retrying 9 of these now": of each person, and what is not sent now apart; who
        began first stands first."""
        found: dict[tuple[int | str, Standstill | None], list[_Part]] = {}
        for task_id, each in sorted(self._tasks(webhook, reason).items()):
            by, still = self.senders[task_id], self.still.get((task_id, webhook))
            found.setdefault((by.user_id or by.name, still), []).append(
                _Part(by, each.all, self.urls[task_id])
            )
        return [
            _words(
                of[0].by,
                still,
                many=sum(each.many for each in of),
                in_runs=len(of),
                url=of[0].url if len(of) == 1 else "",
            )
            for (_, still), of in found.items()
        ]

    def _tasks(self, webhook: UUID, reason: Reason | None) -> dict[int, Queued]:
        found: dict[int, Queued] = {}
        for key in map(str, alike(reason)) if reason else [None]:
            for task_id, each in self.by_problem.get((webhook, key), {}).items():
                found[task_id] = found.get(task_id, Queued()).with_more(each)
        return found


class TakenDelivery(NamedTuple):
    """One in a bulk retry: who sends it, and what to tell whoever asks about it. `linked`: the
    same words, with a link to the bulk retry."""

    words: str
    linked: str
    to_the_caller: str


def queued() -> QueuedDeliveries:
    """All that waits in bulk retries now."""
    found = queued_rows.queued(session())
    tasks = runs.named(list({task_id for each in found.values() for task_id in each}))
    still = standstills(tasks, {webhook for webhook, _ in found})
    senders = {task.id: runs.sender(task) for task in tasks}
    return QueuedDeliveries(found, senders, still, _urls(tasks))


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
    urls = _urls(tasks)
    all_still = standstills(tasks, {places[row_id][0] for row_id in taken})
    found = {}
    for row_id, task_id in taken.items():
        webhook, status = places[row_id]
        is_sent = status is ShownStatus.SENDING
        still = None if is_sent else all_still.get((task_id, webhook))
        by, url = senders[task_id], urls[task_id]
        linked = _words(by, still, url=url)
        found[row_id] = TakenDelivery(_words(by, still), linked, TO_THE_CALLER[still])
    return found


def _urls(tasks: Sequence[Task]) -> dict[int, str]:
    return {task.id: url_for("batches.show", public_id=task.public_id) for task in tasks}


def _words(
    by: Retrier, still: Standstill | None, *, many: int = 0, in_runs: int = 1, url: str = ""
) -> Markup:
    """`many`: of a problem, in so many bulk retries of this person; 0: it is one delivery. `url`:
    of the bulk retry, to be linked."""
    is_mine = by.user_id is not None and by.user_id == current_user.user_id
    which = f"{counted(many)} of these" if many else "it"
    if still is None:
        retrying = _linked(f"retrying {which} now", url)
        return Markup("{} {}").format("You are" if is_mine else f"{by.name} is", retrying)
    run = "bulk retry" if in_runs == 1 else "bulk retries"
    whose = _linked(f"your {run}" if is_mine else f"the {run} of {by.name}", url)
    was = "was" if in_runs == 1 else "were"
    end = f", which {was} interrupted" if still is Standstill.INTERRUPTED else ""
    which = f"{which[:1].upper()}{which[1:]}"
    return Markup("{} {} in {}{}").format(which, "wait" if many > 1 else "waits", whose, end)


def _linked(words: str, url: str) -> str:
    return Markup('<a href="{}">{}</a>').format(url, words) if url else words
