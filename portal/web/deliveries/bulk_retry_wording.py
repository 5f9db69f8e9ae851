"""Word bulk retries for lists, their page, and the report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from flask import url_for

from portal.database.engine import AnyRow
from portal.engine.reasons import Reason, title
from portal.models.deliveries import RowOutcome
from portal.models.tasks import Task, TaskState
from portal.services.core.queries import COUNT_LIMIT
from portal.services.deliveries import bulk_retry, bulk_retry_report
from portal.services.deliveries.bulk_retry import (
    LEFT_OUT,
    MOST_FAILURES,
    MOST_WEBHOOKS,
    SENDER,
    SPACING,
    WEBHOOKS,
    Pace,
    is_stopping,
)
from portal.services.deliveries.bulk_retry_report import NOT_ARRIVED, HaltedWebhook, Rest
from portal.services.deliveries.bulk_retry_selection import Skip, filter_of
from portal.services.tasks import ENDED
from portal.web.deliveries.filter_wording import Names, filter_words
from portal.web.deliveries.retried_by import page_url, whose
from portal.web.deliveries.wording import deliveries, event_name
from portal.web.frame.site_state import may_send
from portal.web.frame.status_tags import PARTLY, STOPPING, TASK, Tag
from portal.web.frame.wording import counted, number, time_left

PACES: Final = {
    Pace.FAST: "As fast as receivers accept them",
    Pace.SECOND: "1 per second",
    Pace.TEN_SECONDS: "1 every 10 seconds",
}
# PARTS are the outcomes with a part of the bar. OUTCOMES adds one without.
PARTS: Final = {RowOutcome.DELIVERED: "good", RowOutcome.FAILED: "bad"}
OUTCOMES: Final = (*PARTS, RowOutcome.SKIPPED)
IN_REPORT: Final = {
    RowOutcome.WAITING: "Not sent yet",
    RowOutcome.SENT: "Being sent",
    RowOutcome.DELIVERED: "Delivered",
    RowOutcome.FAILED: "Attempt failed",
    RowOutcome.SKIPPED: "Skipped",
    RowOutcome.UNSENT: "Not sent",
}
SKIPS: Final = {
    Skip.ARRIVED: "already delivered",
    Skip.QUEUED: "already queued",
    Skip.SENDING: "being sent now",
    Skip.ON_HOLD: "on hold because the webhook is off",
    Skip.DISMISSED: "dismissed (restore them first)",
    Skip.TAKEN: "in another bulk retry",
    Skip.TEST: "sent as a test",
    Skip.OFF: "for a deleted or turned-off webhook",
    Skip.GONE: "no longer kept",
}
DELIVERED_SINCE: Final = "Delivered since"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRetryLine:
    """One bulk retry.

    `title` gives its count and webhooks. `name` begins with its sender, for lists of several.
    `asked_for` describes its selection. `progress` and `parts` are the text and percentages of its
    bar. `note` adds further facts. `resume_url` sends the rest right away, and `ask_url` asks
    first.
    """

    task: Task
    url: str
    title: str
    name: str
    asked_for: str
    tag: Tag
    progress: str
    parts: Sequence[tuple[str, float, float]]
    note: str
    resumed_by: str
    action_label: str = ""
    resume_url: str = ""
    ask_url: str = ""


def under_way(webhook: UUID | None = None) -> list[BulkRetryLine]:
    """Return running, waiting, and paused bulk retries, newest first.

    With `webhook`, the others are left out.
    """
    return lines_of([task for task in bulk_retry.under_way() if _may_be_of(task, webhook)])


def _may_be_of(task: Task, webhook: UUID | None) -> bool:
    kept = task.cursor.get(WEBHOOKS, ())
    return webhook is None or not 0 < len(kept) < MOST_WEBHOOKS or str(webhook) in kept


def lines_of(tasks: Sequence[Task]) -> list[BulkRetryLine]:
    names = Names()
    return [line_of(task, names) for task in tasks]


def line_of(task: Task, names: Names) -> BulkRetryLine:
    is_over = task.state in (TaskState.STOPPED, TaskState.FAILED)
    has_rest = is_over or task.state == TaskState.PAUSED
    rest = bulk_retry_report.rest(task) if has_rest else Rest()
    may = bool(rest.left) and may_send(bulk_retry.PERMISSION)
    sender = bulk_retry.sender(task)
    receivers = _receivers(task, names)
    of, to = (f" of {receivers}", f" to {receivers}") if receivers else ("", "")
    line = BulkRetryLine(
        task=task,
        url=page_url(task),
        title=f"Bulk retry of {deliveries(task.total)}{to}",
        name=f"{whose(task, begins=True)} bulk retry{of}",
        asked_for=_asked_for(task, names),
        tag=_tag(task),
        progress=_progress(task),
        parts=_bar(task),
        note=_note(task, rest),
        resumed_by="" if sender.user_id == task.actor_id else sender.name,
        action_label=f"Retry the remaining {counted(rest.left)}" if may else "",
        ask_url=url_for("batches.confirm", rest=task.public_id) if may and is_over else "",
    )
    return line if is_over or not may else with_resume(line)


def with_resume(line: BulkRetryLine) -> BulkRetryLine:
    """Add the Resume action, which asks first for another person's bulk retry."""
    line, public_id = replace(line, action_label="Resume"), line.task.public_id
    if whose(line.task) == "your":
        return replace(line, resume_url=url_for("batches.go_on", public_id=public_id))
    return replace(line, ask_url=url_for("batches.ask_go_on", public_id=public_id))


def _receivers(task: Task, names: Names) -> str:
    """Return "Sync", "Sync and Door", or "3 webhooks".

    Return "" for a bulk retry from before webhooks were stored.
    """
    kept = task.cursor.get(WEBHOOKS, ())
    if len(kept) > 2:
        return f"{len(kept)}{'+' if len(kept) == MOST_WEBHOOKS else ''} webhooks"
    return " and ".join(names.of(UUID(webhook)) for webhook in kept)


def _asked_for(task: Task, names: Names) -> str:
    if "rest" in task.params:
        return "the rest of a stopped bulk retry"
    if "ticked" in task.params:
        return "selected in Deliveries"
    return filter_words(filter_of(task.params), names)


def _tag(task: Task) -> Tag:
    if is_stopping(task):
        return STOPPING
    is_partly = task.state == TaskState.DONE and task.counts.get(RowOutcome.FAILED)
    return PARTLY if is_partly else TASK[task.state]


def _progress(task: Task) -> str:
    """Return "90 delivered, 6 failed, 38 left". An ended one says "38 not sent"."""
    if task.state not in ENDED and not task.cursor.get("collected") and not is_stopping(task):
        return f"Finding deliveries, {number(task.total)} so far"
    counts = [(task.counts.get(outcome, 0), str(outcome)) for outcome in OUTCOMES]
    is_left = "not sent" if task.state in ENDED else "left"
    counts.append((max(0, task.total - task.done), is_left))
    return (
        ", ".join(f"{number(many)} {word}" for many, word in counts if many)
        or "Nothing left to retry"
    )


def _bar(task: Task) -> list[tuple[str, float, float]]:
    """Return each part's tone, start, and length, in percent."""
    parts, start = [], 0.0
    for outcome, tone in PARTS.items():
        length = 100 * task.counts.get(outcome, 0) / (task.total or 1)
        parts.append((tone, round(start, 2), round(length, 2)))
        start += length
    return parts


def _note(task: Task, rest: Rest) -> str:
    is_paused = task.state == TaskState.PAUSED
    why = f"Paused after {MOST_FAILURES} failures in a row." if is_paused else ""
    return f"{why} {rest_words(rest)}".strip()


def rest_words(rest: Rest) -> str:
    """Return "90 of the 134 have been delivered since. 38 are left.", or "" if none have."""
    if not rest.delivered:
        return ""
    have, are = "has" if rest.delivered == 1 else "have", "is" if rest.left == 1 else "are"
    since = f"{counted(rest.delivered)} of the {counted(rest.unsent)} {have} been delivered since."
    return f"{since} {counted(rest.left)} {are} left."


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Data for the templates. `is_live` is true while the page can still change."""

    task: Task
    line: BulkRetryLine
    sentence: str
    is_live: bool
    time_left: str
    troubles: Sequence[HaltedWebhook]
    not_arrived: Sequence[AnyRow]
    not_arrived_count: int

    @property
    def announcement(self) -> str:
        """Return the screen reader's text, which is blank until the bulk retry ends."""
        text = f"{self.line.tag.word}. {self.line.progress}. {self.sentence}"
        return "" if self.is_live else text.strip()

    @property
    def arrived_since(self) -> int:
        """Count the failed or skipped deliveries that have arrived in another way since."""
        ended = sum(self.task.counts.get(outcome, 0) for outcome in NOT_ARRIVED)
        is_counted = self.not_arrived_count <= COUNT_LIMIT
        return max(0, ended - self.not_arrived_count) if is_counted else 0

    @property
    def left_out(self) -> str:
        """Return "Not included: 1 being sent now", or "" if the whole selection is included."""
        skips = self.task.cursor.get(LEFT_OUT, {}).items()
        words = ", ".join(f"{number(many)} {SKIPS[Skip(skip)]}" for skip, many in skips)
        return f"Not included: {words}" if words else ""

    @property
    def way_on(self) -> BulkRetryLine | None:
        """Return the line with its Resume action, or None if no webhook is halted."""
        is_halted = any(webhook.is_halted for webhook in self.troubles)
        return with_resume(self.line) if is_halted else None


def pace_words(task: Task) -> str:
    return PACES[bulk_retry.pace_of(task)]


def page_of(task: Task) -> BatchPage:
    is_live = task.state not in ENDED
    return BatchPage(
        task,
        line_of(task, Names()),
        _sentence(task),
        is_live,
        _time_left(task),
        bulk_retry_report.troubles(task) if is_live else [],
        *bulk_retry_report.not_arrived(task),
    )


def _time_left(task: Task) -> str:
    """Return the time left at its pace.

    A resumed bulk retry without a fixed pace has none, because the time so far includes its pause.
    """
    spacing = SPACING.get(bulk_retry.pace_of(task))
    return time_left(task, spacing or timedelta()) if spacing or SENDER not in task.cursor else ""


def _sentence(task: Task) -> str:
    if is_stopping(task):
        rest = "Requests in progress will finish. The rest is unchanged."
        return f"{task.stopped_by} stopped this bulk retry. {rest}"
    if task.state == TaskState.STOPPED:
        rest = " Unsent deliveries are unchanged." if task.total > task.done else ""
        return f"Stopped by {task.stopped_by} after {number(task.done)}.{rest}"
    return task.error


def why(row: AnyRow) -> str:
    """Return the reason a delivery did not arrive."""
    if row.outcome == RowOutcome.SKIPPED or row.message:
        return str(row.message)
    return title(Reason(row.reason), row.code) if row.reason else ""


COLUMNS: Final[Mapping[str, Callable[[AnyRow], object]]] = {
    "delivery_id": lambda row: row.public_id,
    "outcome": lambda row: DELIVERED_SINCE if row.has_arrived else IN_REPORT[row.outcome],
    "reason": lambda row: why(row) if row.outcome in NOT_ARRIVED and not row.has_arrived else "",
    "code": lambda row: row.code,
    "event": lambda row: row.event,
    "event_name": lambda row: event_name(row.event) if row.event else "",
    "asset_tag": lambda row: row.asset_tag,
    "asset_name": lambda row: row.asset_name,
    "webhook": lambda row: row.webhook_name,
    "stored_at": lambda row: row.stored_at,
}


def report_lines(task: Task) -> Iterator[Sequence[object]]:
    """Yield the report's headings, then one row per delivery."""
    yield list(COLUMNS)
    for row in bulk_retry_report.report_rows(task):
        yield [read(row) for read in COLUMNS.values()]
