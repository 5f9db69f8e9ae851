"""A piece of long work in words: what it is, how far it got, and what comes after it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from portal.lib.clock import utcnow
from portal.lib.durations import in_words
from portal.models.tasks import Task, TaskState
from portal.services.task_kinds import KINDS
from portal.services.tasks.tasks import ENDED
from portal.web.frame.status_tags import PARTLY, Tag
from portal.web.frame.wording import number, plural
from portal.web.tasks.kinds import WORDS, Link, TaskWords


def _plain(task: Task) -> str:
    return task.kind.replace("_", " ").capitalize()


GENERAL: Final = TaskWords(title=_plain, outcomes={})


@dataclass(frozen=True, slots=True)
class TaskPage:
    """What the page shows; `is_live` while it may still change.

    `headline`: what was left undone, where it ended so; it stands in place of tag and sentence.
    """

    task: Task
    title: str
    tag: Tag
    headline: str
    sentence: str
    details: str
    time_left: str
    after: list[Link]
    is_live: bool
    can_stop: bool

    @property
    def announcement(self) -> str:
        """What is read out: only how it ends, not each row."""
        said = f"{self.headline}." if self.headline else self.sentence
        return "" if self.is_live else f"{said} {self.details}".strip()


def page_of(task: Task) -> TaskPage:
    """Everything that the page of `task` says now."""
    words = WORDS.get(task.kind, GENERAL)
    is_live = task.state not in ENDED
    headline = _headline(task, words)
    return TaskPage(
        task=task,
        title=words.title(task),
        tag=PARTLY if headline else words.tags[task.state],
        headline=headline,
        sentence=_sentence(task),
        details=_details(task, words),
        time_left=_time_left(task, utcnow()),
        after=words.after(task) if task.state in {*ENDED, TaskState.PAUSED} else [],
        is_live=is_live,
        can_stop=task.kind not in KINDS or KINDS[task.kind].can_stop,
    )


def _headline(task: Task, words: TaskWords) -> str:
    counts = words.counts(task)
    undone = sum(counts.get(name, 0) for name in words.failures)
    if task.state != TaskState.DONE or not undone:
        return ""
    return f"{words.finished} {plural(undone, *words.undone)}"


def _sentence(task: Task) -> str:
    so_far = f"{number(task.done)} of {number(task.total)}"
    if task.state == TaskState.WAITING:
        return f"This is about to start. There are {plural(task.total, 'row')} to do."
    if task.state == TaskState.DONE:
        return f"Finished: {plural(task.done, 'row')}."
    if task.state == TaskState.STOPPED:
        return f"{task.stopped_by} stopped this after {so_far}. What was done stays done."
    if task.state == TaskState.FAILED:
        return f"{task.error} {so_far} are done."
    return f"{so_far} finished."


def _details(task: Task, words: TaskWords) -> str:
    if task.state not in ENDED and not task.done:
        return ""  # what was ruled out before does not fail now
    counts = words.counts(task)
    known = {name: counts.get(name, 0) for name in words.outcomes}
    told = [f"{number(count)} {words.outcomes[name]}" for name, count in known.items() if count]
    return f"{', '.join(told)}." if told else ""


def _time_left(task: Task, now: datetime) -> str:
    if task.state != TaskState.RUNNING or not task.done or task.started_at is None:
        return ""
    taken = (now - task.started_at).total_seconds()
    left = taken / task.done * (task.total - task.done)
    return f"About {in_words(max(left, 1.0))} left."
