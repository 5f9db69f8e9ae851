"""An import in words: what becomes of rows, and why it cannot be confirmed."""

from collections.abc import Mapping
from typing import Final

from portal.models.tasks import Task, TaskState
from portal.services.csv.import_rows import Verdict
from portal.web.frame.page_frame import page_url
from portal.web.frame.status_tags import Tag
from portal.web.frame.tabs import Tab
from portal.web.frame.wording import number

TAGS: Final[Mapping[str, Tag]] = {
    Verdict.CREATE: Tag("Add", "plus-lg", "info"),
    Verdict.UPDATE: Tag("Change", "pencil", "info"),
    Verdict.UNCHANGED: Tag("Unchanged", "slash-circle", "neutral"),
    Verdict.ERROR: Tag("Cannot be imported", "x-octagon-fill", "danger"),
    Verdict.CREATED: Tag("Added", "check-circle-fill", "success"),
    Verdict.UPDATED: Tag("Changed", "check-circle-fill", "success"),
    Verdict.FAILED: Tag("Not imported", "x-octagon-fill", "danger"),
}


def chips(counts: Mapping[str, int], chosen: str | None) -> list[Tab]:
    """All rows, then each outcome that there is."""
    everything = number(sum(counts.values()))
    here = [Tab("All rows", page_url(show=None, after=None), chosen is None, everything)]
    for verdict, tag in TAGS.items():
        if verdict in counts:
            url = page_url(show=str(verdict), after=None)
            here.append(Tab(tag.word, url, chosen == verdict, number(counts[verdict])))
    return here


def why_not_confirm(task: Task) -> str:
    """Why the button is not there; nothing where it is."""
    if task.params.get("import"):
        return "This file has been imported."
    if task.state != TaskState.DONE:
        return "The check did not finish, so this file cannot be imported. Choose it again."
    if not any(task.counts.get(each) for each in (Verdict.CREATE, Verdict.UPDATE)):
        return "There is nothing to import in this file."
    return ""


def unknown_columns(task: Task) -> str:
    """The columns that are left out because nobody knows them, and what was probably meant."""
    unknown: Mapping[str, str] = task.params.get("unknown", {})
    return ", ".join(
        f"{name} (did you mean {meant}?)" if meant else name for name, meant in unknown.items()
    )
