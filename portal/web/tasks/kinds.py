"""The kinds of long work: what the page of each says, and where it leads when it has ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from flask import url_for

from portal.models.tasks import Task, TaskState
from portal.services.actions import bulk
from portal.services.alerts import runs as alert_runs
from portal.services.csv import import_task
from portal.services.csv.import_rows import Verdict
from portal.web.assets.bulk_views import title_of

Link = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWords:
    """How the page of one kind speaks.

    `outcomes`: what became of rows, by the names in `Task.counts`, in the order of the sentence.
    `after`: (label, address) of what a person may look at when it has ended.
    """

    title: Callable[[Task], str]
    outcomes: Mapping[str, str]
    after: Callable[[Task], list[Link]] = lambda _task: []


def _after_check(task: Task) -> list[Link]:
    if task.state != TaskState.DONE:
        return [("Choose a file", url_for("importing.upload"))]
    return [("See what each row would do", url_for("importing.check", public_id=task.public_id))]


def _after_import(task: Task) -> list[Link]:
    check = task.params["check"]
    links = [("See every row", url_for("importing.check", public_id=check))]
    if task.counts.get(Verdict.FAILED):
        links.append(("Download the rows that failed", _failed(check)))
    return [*links, ("Go to the assets", url_for("assets.index"))]


def _failed(check: str) -> str:
    return url_for("importing.failed", public_id=check)


def _after_bulk(task: Task) -> list[Link]:
    every = url_for("bulk.show", public_id=task.public_id)
    return [("See every asset", every), ("Go to the assets", url_for("assets.index"))]


def _after_alerts(_task: Task) -> list[Link]:
    return [
        ("See the alerts", url_for("alerts.index")),
        ("Alert settings", url_for("alert_settings.index")),
    ]


# A kind that is not here is told in general words.
WORDS: Final[Mapping[str, TaskWords]] = {
    import_task.CHECK_NAME: TaskWords(
        title=lambda _task: "Check the file",
        outcomes={
            Verdict.CREATE: "to add",
            Verdict.UPDATE: "to change",
            Verdict.UNCHANGED: "unchanged",
            Verdict.SKIPPED: "skipped",
            Verdict.ERROR: "failed",
        },
        after=_after_check,
    ),
    import_task.NAME: TaskWords(
        title=lambda _task: "Import assets",
        outcomes={
            Verdict.CREATED: "added",
            Verdict.UPDATED: "changed",
            Verdict.UNCHANGED: "unchanged",
            Verdict.FAILED: "not imported",
        },
        after=_after_import,
    ),
    bulk.NAME: TaskWords(
        title=title_of,
        outcomes={bulk.DONE: "done", bulk.REFUSED: "not done"},
        after=_after_bulk,
    ),
    alert_runs.NAME: TaskWords(
        title=lambda _task: "Look for alerts",
        outcomes={alert_runs.FIRED: "entered", alert_runs.PASSED: "no longer due"},
        after=_after_alerts,
    ),
}
