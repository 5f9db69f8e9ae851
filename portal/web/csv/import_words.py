"""An import in words: what becomes of rows, and why it cannot be confirmed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from portal.models.tasks import Task, TaskRow, TaskState
from portal.services.csv import import_task
from portal.services.csv.import_rows import Verdict
from portal.web.assets.presenter import FieldChange, differences
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


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One row of the file, and what becomes of it. `tag` is None while it is not checked."""

    number: int
    name: str
    asset_tag: str
    asset_id: int | None
    tag: Tag | None
    changes: Sequence[FieldChange]
    message: str


def lines(rows: Iterable[TaskRow]) -> list[ImportLine]:
    """The rows as people read them."""
    return [_line(row, import_task.cells_of(row)) for row in rows]


def _line(row: TaskRow, cells: Mapping[str, str]) -> ImportLine:
    name, asset_tag = cells.get("name", ""), cells.get("asset_tag", "")
    return ImportLine(
        number=row.number,
        name=name or asset_tag,
        asset_tag=asset_tag if name else "",
        asset_id=row.asset_id,
        tag=TAGS[row.outcome] if row.outcome else None,
        changes=list(differences(row.data.get("changes", {}))),
        message=row.message,
    )


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
