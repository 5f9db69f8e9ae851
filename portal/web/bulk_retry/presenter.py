"""A bulk retry in words: what it would do, how far it got, where it waits, how it ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flask_login import current_user

from portal.engine.reasons import Reason, title
from portal.models.deliveries import RowOutcome
from portal.models.tasks import Task, TaskState
from portal.services.bulk_retry import batches
from portal.services.bulk_retry import queries as bulk_retry_queries
from portal.services.bulk_retry import task as bulk_retry_task
from portal.services.bulk_retry.queries import HaltedWebhook, ReportRow
from portal.services.bulk_retry.selection import Count, Selection, Skip
from portal.services.core import queries as core_queries
from portal.web.deliveries import bulk_retries as bulk_retry_lines
from portal.web.deliveries.bulk_retries import OUTCOMES, BulkRetryLine
from portal.web.deliveries.rows import event_name
from portal.web.frame.wording import number, plural
from portal.web.tasks import presenter as task_presenter
from portal.web.tasks.presenter import TaskPage

SKIPS: Final = {
    Skip.ARRIVED: "arrived already",
    Skip.WAITING: "already waiting to be sent",
    Skip.SENDING: "being sent now",
    Skip.HELD: "held, because the webhook is off",
    Skip.TAKEN: "in another bulk retry that has not ended",
    Skip.TEST: "sent as a test",
    Skip.OFF: "for a webhook that is off or deleted",
    Skip.GONE: "no longer kept",
}
IN_REPORT: Final = {
    RowOutcome.WAITING: "Not sent yet",
    RowOutcome.SENT: "Being sent",
    RowOutcome.DELIVERED: "Delivered",
    RowOutcome.FAILED: "Failed",
    RowOutcome.SKIPPED: "Skipped",
    RowOutcome.UNSENT: "Not sent: stopped before",
}
ARRIVED_SINCE: Final = "Arrived since"
COLUMNS: Final = (
    "delivery_id",
    "outcome",
    "reason",
    "code",
    "event",
    "event_name",
    "asset_tag",
    "asset_name",
    "webhook",
    "stored_at",
)


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Everything that the templates print."""

    base: TaskPage
    line: BulkRetryLine
    sentence: str
    details: str
    troubles: Sequence[HaltedWebhook]
    not_arrived: Sequence[ReportRow]
    not_arrived_count: int

    @property
    def announcement(self) -> str:
        """What is read out: only how it ends, not each row."""
        return "" if self.base.is_live else f"{self.sentence} {self.details}".strip()

    @property
    def arrived_since(self) -> int:
        """How many of those that failed or were skipped have arrived in another way."""
        counts = self.base.task.counts
        ended = sum(counts.get(each, 0) for each in bulk_retry_queries.NOT_ARRIVED)
        is_counted = self.not_arrived_count <= core_queries.COUNT_LIMIT
        return max(0, ended - self.not_arrived_count) if is_counted else 0

    @property
    def is_stopping(self) -> bool:
        """Whether it was stopped and only waits for what is being sent."""
        return bulk_retry_task.is_stopping(self.base.task)

    @property
    def way_on(self) -> BulkRetryLine | None:
        """The same line with how it is continued; None where that would not help."""
        is_halted = any(each.is_halted for each in self.troubles)
        return bulk_retry_lines.with_way_on(self.line, self.base.task) if is_halted else None


def page_of(task: Task) -> BatchPage:
    """Put a bulk retry into words."""
    base = task_presenter.page_of(task)
    line = bulk_retry_lines.lines_of([task])[0]
    found = bulk_retry_queries.troubles(task) if base.is_live else []
    has_some = any(task.counts.get(each) for each in bulk_retry_queries.NOT_ARRIVED)
    return BatchPage(
        base,
        line,
        _sentence(task, base),
        _details(task),
        found,
        bulk_retry_queries.not_arrived(task) if has_some else [],
        bulk_retry_queries.count_not_arrived(task) if has_some else 0,
    )


def others(count: Count) -> list[tuple[str, BulkRetryLine]]:
    """The bulk retries that some of a choice are in now, each with how many: those stay there."""
    found = batches.named(list(count.taken))
    more = " more" if count.total or count.arrived else ""
    lines = bulk_retry_lines.lines_of(found)
    return [
        (_taken_words(task, line, count.taken[task.id], more), line)
        for task, line in zip(found, lines, strict=True)
    ]


def beginning(choice: Selection) -> list[tuple[str, BulkRetryLine]]:
    """Those that are only looking for their deliveries, which may be some of these."""
    found = [each for each in batches.under_way() if _may_meet(each, choice)]
    just = "just started another bulk retry. What it takes is left out of this one:"
    return [
        (f"{'You have' if _is_mine(task) else f'{line.sender} has'} {just}", line)
        for task, line in zip(found, bulk_retry_lines.lines_of(found), strict=True)
    ]


def _taken_words(task: Task, line: BulkRetryLine, many: int, more: str) -> str:
    """ "14 more are in a bulk retry of Sam, which sends them": beside what is asked about."""
    whose = "yours" if _is_mine(task) else line.sender
    is_one = many == 1
    sends = f"sends {'it' if is_one else 'them'}"
    which = "was interrupted" if task.state == TaskState.PAUSED else sends
    are = "is" if is_one else "are"
    return f"{number(many)}{more} {are} in a bulk retry of {whose}, which {which}."


def _is_mine(task: Task) -> bool:
    by = batches.sender(task).user_id
    return by is not None and by == current_user.user_id


def counted(count: Count) -> str:
    """ "312 deliveries"; "at least 10 000" when counting ended early."""
    at_least = "at least " if count.is_more else ""
    return at_least + plural(count.total, "delivery", "deliveries")


def reasons(count: Count) -> list[tuple[str, int]]:
    """The reasons of a count in words, the most frequent first."""
    words: dict[str, int] = {}
    for (reason, code), many in count.by_reason.items():
        text = title(Reason(reason), code) if reason else "No failure so far"
        words[text] = words.get(text, 0) + many
    return sorted(words.items(), key=lambda each: -each[1])


def skipped(count: Count) -> list[tuple[str, int]]:
    """What is left out and why, in words."""
    return [(SKIPS[each], many) for each, many in count.skipped.most_common()]


def why(row: ReportRow) -> str:
    """Why one did not arrive."""
    if row.outcome is RowOutcome.SKIPPED or row.message:
        return row.message
    return title(Reason(row.reason), row.code) if row.reason else ""


def lines(task: Task) -> Iterator[Sequence[object]]:
    """The report as lines for a spreadsheet."""
    yield COLUMNS
    for row in bulk_retry_queries.every(task):
        yield (
            row.public_id,
            ARRIVED_SINCE if row.has_arrived else IN_REPORT[row.outcome],
            why(row) if _is_missing(row) else "",
            row.code,
            row.event,
            event_name(row.event) if row.event else "",
            row.asset_tag,
            row.asset_name,
            row.webhook_name,
            row.stored_at,
        )


def _may_meet(task: Task, choice: Selection) -> bool:
    kept = task.params.get("filter", {}).get("webhook")
    mine = choice.wanted.webhook if choice.wanted else None
    is_elsewhere = kept and mine and kept != str(mine)
    return not task.cursor.get("collected") and not is_elsewhere


def _is_missing(row: ReportRow) -> bool:
    return row.outcome in bulk_retry_queries.NOT_ARRIVED and not row.has_arrived


def _sentence(task: Task, base: TaskPage) -> str:
    so_far = f"{number(task.done)} of {number(task.total)}"
    if task.state == TaskState.STOPPED:
        return f"{task.stopped_by} stopped this after {so_far}. What was not sent is as before."
    if task.state == TaskState.FAILED:
        return base.sentence
    if bulk_retry_task.is_stopping(task):
        sent = "What is being sent now is waited for; the rest is as before."
        return f"{task.stopped_by} stopped this after {so_far}. {sent}"
    if not task.cursor.get("collected"):
        return f"Looking for what is to be sent: {number(task.total)} so far."
    if task.state == TaskState.DONE:
        every = plural(task.total, "delivery", "deliveries")
        return f"Finished: {every}." if task.total else "There was nothing left to retry."
    return f"{so_far} finished."


def _details(task: Task) -> str:
    known = {each: task.counts.get(each, 0) for each in OUTCOMES}
    told = [f"{number(count)} {OUTCOMES[each]}" for each, count in known.items() if count]
    return f"{', '.join(told)}." if told else ""
