"""An import in words: what becomes of rows, what holds for the file, why there is no button."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from portal.models.assignments import Assignment
from portal.models.tasks import Task, TaskRow, TaskState
from portal.services.assets.named_lists import NamedList
from portal.services.assets.queries import holders
from portal.services.csv import import_task
from portal.services.csv.import_rows import COUNTED, LISTS, SINGLE, Notes, Verdict
from portal.web.assets.presenter import FieldChange, differences
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import Tab, Tag
from portal.web.frame.wording import number, plural

MAY_CHANGE: Final = "Update existing assets"
MOST_TOLD: Final = 10  # names in one note
FAILED: Final = Tag("Failed", "x-octagon-fill", "danger")
TAGS: Final[Mapping[str, Tag]] = {
    Verdict.CREATE: Tag("Add", "plus-lg", "info"),
    Verdict.UPDATE: Tag("Change", "pencil", "info"),
    Verdict.CREATED: Tag("Added", "check2", "success"),
    Verdict.UPDATED: Tag("Changed", "check2", "success"),
    Verdict.SKIPPED: Tag("Skipped", "skip-end-circle", "neutral"),
    Verdict.UNCHANGED: Tag("Unchanged", "slash-circle", "neutral"),
    Verdict.ERROR: FAILED,
    Verdict.FAILED: FAILED,
}

UNDONE: Final[Mapping[str, str]] = {Verdict.SKIPPED: "Would change", Verdict.FAILED: "Not done"}


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One row of the file, and what becomes of it. `tag` is None while it is not checked.

    `holder`: who has the asset now, where the row changes it. `undone`: what stands above changes
    that are not made.
    """

    number: int
    name: str
    asset_tag: str
    serial_number: str
    asset_id: int | None
    tag: Tag | None
    holder: str
    undone: str
    changes: Sequence[FieldChange]
    message: str


def lines(check: Task, rows: Sequence[TaskRow]) -> list[ImportLine]:
    changed = [row.asset_id for row in rows if row.asset_id and row.data.get("changes")]
    held = holders(changed)
    return [
        _line(row, import_task.cells_of(check, row), held.get(row.asset_id or 0)) for row in rows
    ]


def outcomes_of(shown: str | None) -> Sequence[str]:
    """Return the outcomes that one of the page's tabs stands for; none for all rows."""
    return [verdict for verdict in TAGS if shown in (verdict, *_together(verdict))]


def chips(counts: Mapping[str, int], chosen: Sequence[str]) -> list[Tab]:
    """Return all rows, then each outcome that there is; what reads the same is one."""
    everything = number(sum(counts.values()))
    here = [Tab("All rows", page_url(show=None, after=None), not chosen, everything)]
    for tag in dict.fromkeys(TAGS.values()):
        verdicts = [verdict for verdict, its in TAGS.items() if its == tag]
        count = sum(counts.get(verdict, 0) for verdict in verdicts)
        if count:
            url = page_url(show=str(verdicts[-1]), after=None)
            here.append(Tab(tag.word, url, verdicts[-1] in chosen, number(count)))
    return here


def would_do(counts: Mapping[str, int]) -> str:
    """Return what confirming does: "12 assets will be added and 1 will be changed."."""
    added, changed = counts.get(Verdict.CREATE, 0), counts.get(Verdict.UPDATE, 0)
    parts = [plural(added, "asset will be added", "assets will be added")] if added else []
    if changed:
        parts.append(plural(changed, "asset will be changed", "assets will be changed"))
    return f"{' and '.join(parts)}."


def columns_used(task: Task) -> str:
    """Return how many columns are read; a file that speaks as we do is matched unasked."""
    used, given = len(task.params["matches"]), len(task.params["headings"])
    if used == given:
        return "Recognized the only column." if used == 1 else f"Recognized all {used} columns."
    return f"We use {used} of {given} columns."


def notes(task: Task, counts: Mapping[str, int]) -> list[str]:
    """Return what holds for the file, or for many of its rows, once each."""
    return list(_notes(task, counts))


def why_not_confirm(task: Task) -> str:
    """Return why the button is not there; nothing where it is."""
    if task.params.get("import"):
        return "This file was already imported."
    if task.state != TaskState.DONE:
        return "The check didn’t finish, so this file can’t be imported. Choose it again."
    if not any(task.counts.get(verdict) for verdict in import_task.TO_DO):
        return "There’s nothing to import in this file."
    return ""


def _notes(task: Task, counts: Mapping[str, int]) -> Iterator[str]:
    noted: Notes = task.params.get("notes", {})
    yield from origin_notes(task)
    if skipped := counts.get(Verdict.SKIPPED, 0):
        one, many = "row whose asset already exists", "rows whose assets already exist"
        them = "it" if skipped == 1 else "them"
        way_out = f"choose the file again and select “{MAY_CHANGE}”."
        yield f"Skipped {plural(skipped, one, many)}. To change {them}, {way_out}"
    for called, (_, kind) in LISTS.items():
        if names := noted.get(called):
            yield f"{_new(kind, list(names.values()))}."
    if rows := noted.get(SINGLE):
        where = f"We ignored quantity, min_quantity, and unit in {plural(rows, 'row')}"
        yield f"{where} of single items. To track a quantity, enter stock in the column kind."
    if rows := noted.get(COUNTED):
        where = f"We ignored the quantity in {plural(rows, 'row')} of consumables"
        yield f"{where}. Receive, issue, or adjust it on the asset’s page."
    if left_alone := task.params.get("left_alone"):
        columns, them = ("column", "it") if len(left_alone) == 1 else ("columns", "them")
        way_out = f"Use actions, such as check-in, to change {them}."
        yield f"We ignored the {columns} {', '.join(left_alone)}. {way_out}"
    if unknown := task.params.get("unknown"):
        names = ", ".join(
            f"{name} (did you mean {meant}?)" if meant else name for name, meant in unknown.items()
        )
        yield f"We ignored these unknown columns: {names}."


def origin_notes(task: Task) -> Iterator[str]:
    """Yield what had to be guessed of the file, and what of it nobody looked at."""
    origin: Mapping[str, Any] = task.params.get("origin", {})
    if encoding := origin.get("encoding"):
        sentence = "The file doesn’t specify its text encoding, so we used"
        yield f"{sentence} {encoding}. Check letters such as ä and é below."
    if others := origin.get("other_tabs"):
        one, many = "other sheet", "other sheets"
        yield f"We read only the sheet “{origin['tab']}” and ignored {plural(others, one, many)}."


def _new(kind: NamedList, names: Sequence[tuple[str, int]]) -> str:
    """Return "2 new categories: Chairs (118 rows), Desks (1 row)", the most frequent first."""
    known = sorted((pair for pair in names if pair[0]), key=lambda pair: -pair[1])
    others = sum(count for name, count in names if not name)
    parts = [f"{name} ({plural(count, 'row')})" for name, count in known[:MOST_TOLD]]
    if others:
        parts.append(f"more in {plural(sum(c for _, c in known[MOST_TOLD:]) + others, 'row')}")
    elif len(known) > MOST_TOLD:
        parts.append(f"{number(len(known) - MOST_TOLD)} more")
    count = plural(len(known), f"new {kind.one}", f"new {kind.many}")
    return f"{'More than ' if others else ''}{count}: {', '.join(parts)}"


def _together(verdict: str) -> Sequence[str]:
    """Return the outcomes that read as this one does."""
    return [other for other, tag in TAGS.items() if tag == TAGS[verdict]]


def _line(row: TaskRow, cells: Mapping[str, str], held: Assignment | None) -> ImportLine:
    name, asset_tag = cells.get("name", ""), cells.get("asset_tag", "")
    return ImportLine(
        number=row.number,
        name=name or asset_tag,
        asset_tag=asset_tag if name else "",
        serial_number=cells.get("serial_number", ""),
        asset_id=row.asset_id,
        tag=TAGS[row.outcome] if row.outcome else None,
        holder=held.staff.name if held else "",
        undone=UNDONE.get(row.outcome or "", ""),
        changes=list(differences(row.data.get("changes", {}))),
        message=row.message,
    )
