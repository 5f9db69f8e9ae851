"""Phrase background tasks: progress, outcome, and follow-up links."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import url_for

from portal.models.tasks import Task, TaskState
from portal.services import merging
from portal.services.actions import bulk
from portal.services.alerts import runs as alert_runs
from portal.services.csv import import_task
from portal.services.csv.import_rows import Verdict
from portal.services.deliveries import dismissals
from portal.services.deliveries.dismissals import Outcome
from portal.services.demo import load
from portal.services.erasure import erase
from portal.services.operations import backups
from portal.services.task_kinds import KINDS
from portal.services.tasks import ENDED
from portal.web.assets import merge_views
from portal.web.assets.bulk_views import title_of
from portal.web.frame.status_tags import PARTLY, TASK, Tag
from portal.web.frame.wording import number, plural, time_left

Link = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWords:
    """The words for one kind of task.

    `outcomes`: words by name in `counts`, in the order of the sentence. `failures`: outcomes that
    make the task incomplete. `undone` (for one row, for more) makes the headline for them. `after`:
    (label, URL) of pages to open once the task has ended or waits for an answer. `next_url`: the
    page that takes this one's place once the task is done.
    `rows`: the word for one row and for more. `note`: shown until the first row is done.
    `import_step`: its step in an import, or 0. `unit`: the unit of progress if it does not
    count rows. `succeeded`: the sentence that replaces the row count at the end, if not blank.
    `under`: the path of the page that it belongs under, if not the register's.
    """

    title: Callable[[Task], str]
    outcomes: Mapping[str, str]
    failures: Sequence[str] = ()
    undone: tuple[str, str] = ("wasn’t done", "weren’t done")
    counts: Callable[[Task], Mapping[str, int]] = lambda task: task.counts
    after: Callable[[Task], list[Link]] = lambda _task: []
    next_url: Callable[[Task], str] = lambda _task: ""
    rows: tuple[str, str] = ("row", "rows")
    import_step: int = 0
    note: str = ""
    unit: str = ""
    succeeded: Callable[[Task], str] = lambda _task: ""
    under: str = ""


def _after_check(task: Task) -> list[Link]:
    if task.state == TaskState.PAUSED:
        return [("Match headings", url_for("import_match.match", public_id=task.public_id))]
    return [("Choose a file", url_for("importing.upload"))]


def _of_the_file(task: Task) -> Mapping[str, int]:
    """Count every row of the file by outcome, including rows that the check ruled out."""
    left: Mapping[str, int] = task.params.get("left", {})
    counts = {**left, **task.counts}
    failed = left.get(Verdict.ERROR, 0) + task.counts.get(Verdict.FAILED, 0)
    return {**counts, Verdict.FAILED: failed}


def _after_import(task: Task) -> list[Link]:
    check, assets = task.params["check"], ("View assets", url_for("assets.index"))
    every = url_for("importing.check", public_id=check)
    if not _of_the_file(task)[Verdict.FAILED]:
        return [("View all rows", every), assets]
    failed = url_for("importing.check", public_id=check, show=Verdict.FAILED)
    download = url_for("importing.failed", public_id=check)
    again = ("Import another file", url_for("importing.upload"))
    return [("View failed rows", failed), ("Download failed rows", download), again, assets]


def _after_bulk(task: Task) -> list[Link]:
    every = url_for("bulk.show", public_id=task.public_id)
    return [("View all results", every), ("View assets", url_for("assets.index"))]


def _after_merge(task: Task) -> list[Link]:
    merge = merging.of_task(task)
    kind = merge.of.listed
    if not kind:
        return [(f"View {merge.field}s", url_for("spellings.index", field=merge.field))]
    target: dict[str, Any] = {kind.one: merge.target_id}
    assets = url_for("assets.index", **target)
    return [("View assets", assets), (f"View {kind.many}", url_for(f"{kind.many}.index"))]


def _merged(task: Task) -> str:
    merge, count = merging.of_task(task), task.counts.get(merging.CHANGED, 0)
    kind = merge.of.listed
    if not (merge.deletes and kind):
        return ""
    if not count:
        return f"{merge.source_name} was deleted."
    verb = "is" if count == 1 else "are"
    where = f"{kind.holds} {merge.target_name}"
    return f"{merge.source_name} was deleted. Its {plural(count, 'asset')} {verb} now {where}."


def _after_alerts(_task: Task) -> list[Link]:
    return [
        ("View alerts", url_for("alerts.index")),
        ("Alert settings", url_for("alert_settings.index")),
    ]


def _after_dismissal(task: Task) -> list[Link]:
    return [
        ("View dismissed deliveries", url_for("deliveries.index", status="dismissed")),
        ("Restore these", url_for("dismissals.ask_restore", dismissal=task.params["act"])),
    ]


def _after_restoration(_task: Task) -> list[Link]:
    return [("View deliveries", url_for("deliveries.index"))]


# A kind that is not listed here uses `GENERAL`.
WORDS: Final[Mapping[str, TaskWords]] = {
    import_task.CHECK_NAME: TaskWords(
        title=lambda _task: "Check file",
        import_step=3,
        outcomes={
            Verdict.CREATE: "to add",
            Verdict.UPDATE: "to change",
            Verdict.UNCHANGED: "unchanged",
            Verdict.SKIPPED: "skipped",
            Verdict.PASSED: "skipped as chosen",
            Verdict.ERROR: "can’t be imported",
        },
        after=_after_check,
        next_url=lambda task: url_for("importing.check", public_id=task.public_id),
    ),
    import_task.NAME: TaskWords(
        title=lambda _task: "Import assets",
        import_step=4,
        outcomes={
            Verdict.CREATED: "added",
            Verdict.UPDATED: "changed",
            Verdict.UNCHANGED: "unchanged",
            Verdict.SKIPPED: "skipped",
            Verdict.PASSED: "skipped as chosen",
            Verdict.FAILED: "failed",
        },
        failures=(Verdict.FAILED,),
        undone=("wasn’t imported", "weren’t imported"),
        counts=_of_the_file,
        after=_after_import,
    ),
    bulk.NAME: TaskWords(
        title=title_of,
        outcomes={
            bulk.DONE: "changed",
            bulk.UNCHANGED: "already as you asked",
            bulk.REFUSED: "not changed",
        },
        failures=(bulk.REFUSED,),
        undone=("wasn’t changed", "weren’t changed"),
        rows=("asset", "assets"),
        after=_after_bulk,
    ),
    merging.NAME: TaskWords(
        title=merge_views.title_of,
        outcomes={merging.CHANGED: "changed"},
        rows=("asset", "assets"),
        succeeded=_merged,
        after=_after_merge,
    ),
    dismissals.DISMISS.name: TaskWords(
        title=lambda _task: "Dismiss deliveries",
        outcomes={
            Outcome.DISMISSED: "dismissed",
            Outcome.DELIVERED: "already delivered",
            Outcome.ALREADY: "already dismissed",
            Outcome.GONE: "no longer kept",
        },
        after=_after_dismissal,
    ),
    dismissals.RESTORE.name: TaskWords(
        title=lambda _task: "Restore deliveries",
        outcomes={
            Outcome.RESTORED: "restored",
            Outcome.DELETED: "not restored because their webhook was deleted",
            Outcome.NOT_DISMISSED: "no longer dismissed",
            Outcome.GONE: "no longer kept",
        },
        after=_after_restoration,
    ),
    load.NAME: TaskWords(
        title=lambda _task: "Load sample data",
        outcomes={
            "assets": "assets",
            "staff": "staff",
            "webhooks": "webhooks",
            "deliveries": "deliveries",
            "alerts": "alerts",
        },
        rows=("asset", "assets"),
        note="This takes about a minute. Other changes might wait until then.",
        after=lambda _task: [("View Overview", url_for("home.index"))],
    ),
    backups.NAME: TaskWords(
        title=lambda _task: "Back up the database",
        outcomes={},
        rows=("MB", "MB"),
        unit=" MB",
        under="/settings/system/backups",
        succeeded=lambda task: f"We opened the copy and counted {backups.counted(task.counts)}.",
        after=lambda _task: [("View backups", url_for("backups.index"))],
    ),
    erase.NAME: TaskWords(title=lambda _task: "Erase a person", outcomes={}),
    alert_runs.NAME: TaskWords(
        title=lambda _task: "Check for alerts",
        outcomes={alert_runs.FIRED: "sent", alert_runs.PASSED: "no longer due"},
        after=_after_alerts,
    ),
}


def _plain(task: Task) -> str:
    return task.kind.replace("_", " ").capitalize()


GENERAL: Final = TaskWords(title=_plain, outcomes={})


@dataclass(frozen=True, slots=True)
class TaskPage:
    """The page of a task. `is_live`: the task can still change.

    `next_url`: the page to open instead, or "".
    `headline`: the failures of a finished task. It replaces the tag and sentence.
    """

    task: Task
    title: str
    tag: Tag
    headline: str
    sentence: str
    details: str
    time_left: str
    after: list[Link]
    next_url: str
    is_live: bool
    can_stop: bool
    import_step: int
    under: str

    @property
    def announcement(self) -> str:
        """Return the text for screen readers: the result, not each row."""
        result = self.headline or self.sentence
        return "" if self.is_live else f"{result} {self.details}".strip()


def page_of(task: Task) -> TaskPage:
    words = WORDS.get(task.kind, GENERAL)
    is_live = task.state not in ENDED
    headline = _headline(task, words)
    return TaskPage(
        task=task,
        title=words.title(task),
        tag=PARTLY if headline else TASK[task.state],
        headline=headline,
        sentence=_sentence(task, words),
        details=_details(task, words),
        time_left=time_left(task),
        after=words.after(task) if task.state in {*ENDED, TaskState.PAUSED} else [],
        next_url=words.next_url(task) if task.state == TaskState.DONE else "",
        is_live=is_live,
        can_stop=task.kind not in KINDS or KINDS[task.kind].can_stop,
        import_step=words.import_step,
        under=words.under,
    )


def _headline(task: Task, words: TaskWords) -> str:
    counts = words.counts(task)
    undone = sum(counts.get(name, 0) for name in words.failures)
    if task.state != TaskState.DONE or not undone:
        return ""
    return f"Finished, but {plural(undone, *words.undone)}."


def _sentence(task: Task, words: TaskWords) -> str:
    so_far = f"{number(task.done)} of {number(task.total)}{words.unit}"
    if task.state == TaskState.WAITING:
        return f"Starting soon, with {plural(task.total, *words.rows)} to process."
    if task.state == TaskState.DONE and (result := words.succeeded(task)):
        return result
    if task.state == TaskState.DONE:
        return f"{plural(task.done, *words.rows)} processed."
    if task.state == TaskState.STOPPED:
        return f"Stopped by {task.stopped_by} after {so_far}. The rest is unchanged."
    if task.state == TaskState.FAILED:
        return f"{task.error} {so_far} done."
    return f"{so_far} done."


def _details(task: Task, words: TaskWords) -> str:
    if task.state not in ENDED and not task.done:
        return words.note  # rows that the check ruled out are not failures yet
    counts = words.counts(task)
    known = {name: counts.get(name, 0) for name in words.outcomes}
    parts = [f"{number(count)} {words.outcomes[name]}" for name, count in known.items() if count]
    return f"{', '.join(parts)}." if parts else ""
