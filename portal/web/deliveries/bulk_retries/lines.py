"""Bulk retries as lines: in their list, and above the log while one runs, waits or was stopped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from flask import url_for
from flask_login import current_user

from portal.models.batches import RowOutcome
from portal.models.tasks import Task, TaskState
from portal.services.bulk_retry import runs
from portal.services.bulk_retry import task as bulk_retry_task
from portal.services.bulk_retry.rows import MOST_FAILURES
from portal.services.tasks.tasks import ENDED
from portal.web.deliveries.bulk_retries.words import Names, heading, kept_words
from portal.web.frame.access import can
from portal.web.frame.banner_views import sending_stop
from portal.web.frame.status_tags import BULK_RETRY, PARTLY, Tag
from portal.web.frame.wording import number

OUTCOMES: Final = {
    RowOutcome.DELIVERED: "delivered",
    RowOutcome.FAILED: "failed",
    RowOutcome.SKIPPED: "skipped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRetryLine:
    """One bulk retry. `what`: its filter in words, `title`: the same as a heading. `note`: why it
    does not go on, or what it did. `continue_url` or `ask_url`: how what remains is sent, at once
    or after a question, where a new one takes it up or it is another person's. `by` started it,
    `at` that time; `continued_by`: who else had it continue last, if anybody.
    """

    url: str
    what: str
    title: str
    by: str
    at: datetime
    tag: Tag
    done: int
    total: int
    progress: str
    note: str
    action_label: str = ""
    continue_url: str = ""
    ask_url: str = ""
    continued_by: str = ""

    @property
    def sender(self) -> str:
        """The name of who sends it."""
        return self.continued_by or self.by


def under_way() -> list[BulkRetryLine]:
    """Those that run, wait or were interrupted, the newest first."""
    return lines_of(runs.under_way())


def lines_of(tasks: Sequence[Task]) -> list[BulkRetryLine]:
    """These, in their order."""
    names, taken_up = Names(), runs.taken_up([task for task in tasks if task.state in ENDED])
    return [line_of(task, names, is_taken_up=task.public_id in taken_up) for task in tasks]


def line_of(task: Task, names: Names, *, is_taken_up: bool) -> BulkRetryLine:
    """One in words."""
    left = runs.remaining(task)
    is_over = task.state in (TaskState.STOPPED, TaskState.FAILED)
    may = left > 0 and can(bulk_retry_task.PERMISSION) and not sending_stop()
    continues = may and task.state == TaskState.PAUSED
    takes_up = may and is_over and not is_taken_up
    sender = runs.sender(task)
    line = BulkRetryLine(
        url=url_for("batches.show", public_id=task.public_id),
        what=kept_words(task.params, names),
        title=heading(task.params, names),
        by=task.actor_name,
        at=task.created_at,
        continued_by="" if sender.user_id == task.actor_id else sender.name,
        tag=_tag(task),
        done=task.done,
        total=task.total,
        progress=_progress(task),
        note=_note(task, left),
        action_label=f"Retry the remaining {number(left)}" if continues or takes_up else "",
        ask_url=url_for("batches.confirm", rest=task.public_id) if takes_up else "",
    )
    return with_way_on(line, task) if continues else line


def with_way_on(line: BulkRetryLine, task: Task) -> BulkRetryLine:
    """With how it is continued; `action_label` is kept if there is one."""
    label = line.action_label or "Continue"
    by = runs.sender(task).user_id
    if by is not None and by == current_user.user_id:
        url = url_for("batches.go_on", public_id=task.public_id)
        return replace(line, action_label=label, continue_url=url)
    url = url_for("batches.ask_go_on", public_id=task.public_id)
    return replace(line, action_label=label, ask_url=url)


def _progress(task: Task) -> str:
    is_looking = task.state not in ENDED and not task.cursor.get("collected")
    return (
        f"{number(task.total)} found so far"
        if is_looking
        else (f"{number(task.done)} of {number(task.total)}")
    )


def _tag(task: Task) -> Tag:
    is_partly = task.state == TaskState.DONE and task.counts.get(RowOutcome.FAILED)
    return PARTLY if is_partly else BULK_RETRY[task.state]


def _note(task: Task, left: int) -> str:
    if task.state == TaskState.PAUSED:
        return f"{MOST_FAILURES} failed in a row"
    if task.state in (TaskState.STOPPED, TaskState.FAILED) and left:
        return f"{number(left)} {'was' if left == 1 else 'were'} not sent"
    counts = {each: task.counts.get(each, 0) for each in OUTCOMES}
    # That none arrived is what one looks for.
    told = [each for each, many in counts.items() if many or each is RowOutcome.DELIVERED]
    some = any(counts.values())
    return ", ".join(f"{number(counts[each])} {OUTCOMES[each]}" for each in told) if some else ""
