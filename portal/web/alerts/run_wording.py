"""Sentences about checks: what one sent, to whom, and how far it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from portal.models.alerts import AlertRun, RunKind, RunOutcome
from portal.models.tasks import Task, TaskState
from portal.services import tasks
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import RunStatus
from portal.services.alerts.runs import AudienceCounts, audiences
from portal.services.core.permissions import SYSTEM
from portal.services.outbox.publish import Audience
from portal.web.alerts.wording import KINDS
from portal.web.frame.status_tags import ALERT_RUN, Tag
from portal.web.frame.wording import exact_day, number, plural

# A check that waits for longer than this has nobody to do it.
PATIENCE: Final = timedelta(seconds=15)
SENT: Final = "Sent"
EMPTY: Final[Mapping[str | None, str]] = {None: "Nothing so far", RunOutcome.DONE: "Nothing due"}


@dataclass(frozen=True, slots=True)
class RunLine:
    """One check in the list of the latest. `task`: its progress, where it was long work."""

    at: datetime
    by: str
    tag: Tag
    fired: str
    task: UUID | None


@dataclass(frozen=True, slots=True)
class RunsPanel:
    """Everything that the page says of checks."""

    status: RunStatus
    lines: list[RunLine]
    tag: Tag
    working: str
    is_slow: bool

    @property
    def next_run(self) -> str:
        """When the next scheduled one is: "May 3, 07:00"."""
        return exact_day(self.status.next_at)

    @property
    def is_live(self) -> bool:
        """Return whether a check is under way."""
        return self.status.running is not None

    @property
    def announcement(self) -> str:
        """The result of the check, for screen readers."""
        if self.is_live or not self.lines:
            return ""
        return f"{self.lines[0].tag.word}. {self.lines[0].fired}."


def runs_panel(now: datetime) -> RunsPanel:
    """The checks as of `now`."""
    status = alert_queries.run_status(now)
    task = tasks.find(status.running) if status.running else None
    is_queued = task is not None and task.state == TaskState.WAITING
    tag = ALERT_RUN["queued" if is_queued else "working"]
    return RunsPanel(
        status=status,
        lines=[_run_line(run, tag) for run in alert_queries.runs()],
        tag=tag,
        working=_working(task) if task else "",
        is_slow=is_queued and task is not None and now - task.created_at > PATIENCE,
    )


def fired_words(counts: Mapping[str, int]) -> str:
    """The counts in words: "2 overdue, 1 low stock"."""
    return ", ".join(
        f"{number(counts[event])} {words.tag.word.lower()}"
        for event, words in KINDS.items()
        if counts.get(event)
    )


def audience_words(of: Sequence[AudienceCounts], verb: str = SENT) -> str:
    """ "Sent to 2 webhooks: 4 overdue. No webhook was subscribed: 1 low stock"."""
    return ". ".join(
        f"{_audience(audience, verb)}: {fired_words(counts)}" for audience, counts in of
    )


def _audience(audience: Audience, verb: str) -> str:
    """ "Sent to 2 webhooks, on hold for 1 that is off, kept from 3 by their conditions"; before it
    is sent "to up to 2" where some have conditions."""
    sent, held, kept = audience
    is_sent = verb == SENT
    if not (sent or held or (kept and is_sent)):
        return f"No webhook {'was' if is_sent else 'is'} subscribed"
    most = "up to " if kept and not is_sent else ""
    parts = [
        (sent, f"{verb} to {most}", ""),
        (held, "on hold for " if is_sent or sent else f"on hold for {most}", _off(held)),
        (kept if is_sent else 0, "kept from ", f" by {'its' if kept == 1 else 'their'} conditions"),
    ]
    said = [part for part in parts if part[0]]
    first, *others = [
        f"{words}{number(many) if place else plural(many, 'webhook')}{end}"
        for place, (many, words, end) in enumerate(said)
    ]
    return ", ".join([f"{first[0].upper()}{first[1:]}", *others])


def _off(held: int) -> str:
    return f" that {'is' if held == 1 else 'are'} off"


def _run_line(run: AlertRun, at_work: Tag) -> RunLine:
    is_own = run.kind == RunKind.SCHEDULED or run.actor_name == SYSTEM.name
    return RunLine(
        at=run.started_at,
        by="Scheduled" if is_own else run.actor_name,
        tag=ALERT_RUN[run.outcome] if run.outcome else at_work,
        fired=_fired(run),
        task=run.task_public_id,
    )


def _fired(run: AlertRun) -> str:
    if run.outcome == RunOutcome.ASKED:
        return f"Nothing sent. {plural(run.waiting, 'alert waits', 'alerts wait')} for a decision"
    words = fired_words(run.counts)
    if not words:
        return EMPTY.get(run.outcome, "Nothing sent")
    if run.is_marking:
        return f"Marked as sent: {words}"
    return audience_words(audiences(run)) or words


def _working(task: Task) -> str:
    if task.state == TaskState.WAITING:
        return "Starting soon."
    return f"{plural(task.counts.get('fired', 0), 'alert')} so far."
