"""How the looking for alerts goes, in words: what is at work, the last run, the next one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from portal.models.alerts import AlertRun, RunKind, RunOutcome
from portal.models.tasks import Task, TaskState
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import RunStatus
from portal.services.alerts.runs import Audience, audiences
from portal.services.core.permissions import SYSTEM
from portal.services.outbox.publish import Heard
from portal.services.tasks import tasks
from portal.web.alerts.words import KINDS
from portal.web.frame.status_tags import ALERT_RUN, Tag
from portal.web.frame.wording import number, plural, zone_name
from portal.web.planning.calendar_strip import span_end

# A run that waits for longer than this has nobody to do it.
PATIENCE: Final = timedelta(seconds=15)
NOBODY: Final = "Nobody asked for it"


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the list of the latest. `task`: its progress, where it was long work."""

    at: datetime
    by: str
    tag: Tag
    fired: str
    task: UUID | None


@dataclass(frozen=True, slots=True)
class Looking:
    """Everything that the page says of the runs; `is_live` while one is at work."""

    status: RunStatus
    lines: list[RunLine]
    tag: Tag
    working: str
    is_slow: bool

    @property
    def next_run(self) -> str:
        """When the clock starts the next one: "3 May 2026, 07:00 (Europe/Vienna)"."""
        return f"{span_end(self.status.next_at)} ({zone_name()})"

    @property
    def is_live(self) -> bool:
        """Whether what is shown may change by itself."""
        return self.status.running is not None

    @property
    def announcement(self) -> str:
        """What is read out: how the run ended."""
        if self.is_live or not self.lines:
            return ""
        return f"{self.lines[0].tag.word}. {self.lines[0].fired}."


def looking(now: datetime) -> Looking:
    """How it goes at `now`."""
    status = alert_queries.run_status(now)
    task = tasks.find(status.running) if status.running else None
    is_queued = task is not None and task.state == TaskState.WAITING
    tag = ALERT_RUN["queued" if is_queued else "working"]
    return Looking(
        status=status,
        lines=[_run_line(run, tag) for run in alert_queries.runs()],
        tag=tag,
        working=_working(task) if task else "",
        is_slow=is_queued and task is not None and now - task.created_at > PATIENCE,
    )


def fired_words(counts: Mapping[str, int]) -> str:
    """What fired: "2 overdue, 1 low stock"."""
    told = [
        f"{number(counts[event])} {tag.word.lower()}"
        for event, tag in KINDS.items()
        if counts.get(event)
    ]
    return ", ".join(told)


def told_words(audiences: Sequence[Audience], verb: str = "Sent", nobody: str = NOBODY) -> str:
    """ "Sent to 2 webhooks: 4 overdue. Nobody asked for it: 1 low stock"."""
    return ". ".join(
        f"{_audience(heard, verb) or nobody}: {fired_words(counts)}" for heard, counts in audiences
    )


def _audience(heard: Heard, verb: str) -> str:
    """ "Sent to 2 webhooks, held for 1 that is off"; empty: nobody."""
    off = "that is off" if heard.held == 1 else "that are off"
    if heard.sent and heard.held:
        return f"{verb} to {plural(heard.sent, 'webhook')}, held for {number(heard.held)} {off}"
    if heard.held:
        return f"Held for {plural(heard.held, 'webhook')} {off}"
    return f"{verb} to {plural(heard.sent, 'webhook')}" if heard.sent else ""


def _run_line(run: AlertRun, at_work: Tag) -> RunLine:
    return RunLine(
        at=run.started_at,
        by=_by(run),
        tag=ALERT_RUN[run.outcome] if run.outcome else at_work,
        fired=_fired(run),
        task=run.task_public_id,
    )


def _by(run: AlertRun) -> str:
    if run.kind == RunKind.SCHEDULED:
        return "On schedule"
    return "By the portal" if run.actor_name == SYSTEM.name else f"By {run.actor_name}"


def _fired(run: AlertRun) -> str:
    if run.outcome == RunOutcome.ASKED:
        waited = plural(run.waiting, "alert waited", "alerts waited")
        return f"Nothing was sent: {waited} for a decision"
    words = fired_words(run.counts)
    if not words:
        return "Nothing so far" if run.outcome is None else "Nothing had become due"
    if run.is_marking:
        return f"Marked as already sent: {words}"
    return told_words(audiences(run)) or words


def _working(task: Task) -> str:
    if task.state == TaskState.WAITING:
        return "A run begins in a moment."
    so_far = plural(task.counts.get("fired", 0), "alert")
    return f"{so_far} so far."
