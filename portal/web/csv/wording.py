"""Phrase an import: outcomes of rows, notes on the file, and why it can't be confirmed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from portal.lib.dates import day_words
from portal.lib.typed_values import DayOrder, DecimalSign
from portal.models.assignments import Assignment
from portal.models.tasks import Task, TaskRow, TaskState
from portal.services.assets.fields import FieldType
from portal.services.assets.queries import holders
from portal.services.csv import import_matches, import_task
from portal.services.csv.export import PROBLEM, READ_ONLY
from portal.services.csv.import_answers import LONGEST_EXAMPLE, FileColumn
from portal.services.csv.import_rows import (
    COUNTED,
    FIELDS,
    LISTS,
    PERSON,
    SINGLE,
    FaultSort,
    Notes,
    Verdict,
)
from portal.services.csv.import_rows import FAULTS as FAULTS_NOTED
from portal.web.assets.presenter import FieldChange, differences
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import Tab, Tag
from portal.web.frame.wording import number, plural

MAY_CHANGE: Final = "Update existing assets"
MOST_TOLD: Final = 10  # names in one note
FAILED: Final = Tag("Failed", "x-octagon-fill", "danger")
SKIPPED: Final = Tag("Skipped", "skip-end-circle", "neutral")
TAGS: Final[Mapping[str, Tag]] = {
    Verdict.CREATE: Tag("Add", "plus-lg", "info"),
    Verdict.UPDATE: Tag("Change", "pencil", "info"),
    Verdict.CREATED: Tag("Added", "check2", "success"),
    Verdict.UPDATED: Tag("Changed", "check2", "success"),
    Verdict.SKIPPED: SKIPPED,
    Verdict.PASSED: SKIPPED,
    Verdict.UNCHANGED: Tag("Unchanged", "slash-circle", "neutral"),
    Verdict.ERROR: FAILED,
    Verdict.FAILED: FAILED,
}

UNDONE: Final[Mapping[str, str]] = {Verdict.SKIPPED: "Would change", Verdict.FAILED: "Not done"}


# Records that an import adds before its assets: (one, many).
ADDED: Final[Mapping[str, tuple[str, str]]] = {
    **{called: (kind.one, kind.many) for called, kind in LISTS.items()},
    PERSON: ("person", "people"),
}
READINGS: Final[Mapping[str, str]] = {
    DayOrder.DAY_FIRST: "Day/month",
    DayOrder.MONTH_FIRST: "Month/day",
    DayOrder.YEAR_FIRST: "Year-month-day",
    DayOrder.DOTS_DAY_FIRST: "Month/day (day.month with dots)",
    DecimalSign.POINT: "Point before decimals",
    DecimalSign.COMMA: "Comma before decimals",
}
NOT_READ: Final[Mapping[FieldType, str]] = {
    FieldType.DAY: "date not recognized",
    FieldType.MONEY: "amount not recognized",
    FieldType.COUNT: "number not recognized",
}
FAULTS: Final[Mapping[str, str]] = {
    FaultSort.UNREAD: "value not recognized",
    FaultSort.CURRENCY: "amount in another currency",
    FaultSort.UNKNOWN: "person not on the staff list",
    FaultSort.TWICE: "same value as in an earlier row",
    FaultSort.OTHER: "value missing or not possible",
}


@dataclass(frozen=True, slots=True)
class FaultLine:
    """One kind of fault in one column: "22 rows: date not recognized in “Bought on”".

    `cure`: the remedy for all of them. `part`: the section of the page that has it.
    """

    sentence: str
    cure: str
    part: str


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One row of the file and its outcome. `tag`: None until it is checked.

    `holder`: the current holder, if the row changes the asset. `undone`: the heading above changes
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
    messages: Sequence[str]


def lines(check: Task, rows: Sequence[TaskRow]) -> list[ImportLine]:
    changed = [row.asset_id for row in rows if row.asset_id and row.data.get("changes")]
    held = holders(changed)
    return [_line(check, row, held.get(row.asset_id or 0)) for row in rows]


def outcomes_of(shown: str | None) -> Sequence[str]:
    """Return the outcomes that a tab of the page shows, or none for all rows."""
    return [verdict for verdict in TAGS if shown in (verdict, *_together(verdict))]


def chips(counts: Mapping[str, int], chosen: Sequence[str]) -> list[Tab]:
    """Return a tab for all rows, then one for each outcome that occurs. Equal tags share a tab."""
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
    """Return the effect of confirming: "12 assets will be added and 1 asset will be changed."."""
    added, changed = counts.get(Verdict.CREATE, 0), counts.get(Verdict.UPDATE, 0)
    parts = [plural(added, "asset will be added", "assets will be added")] if added else []
    if changed:
        parts.append(plural(changed, "asset will be changed", "assets will be changed"))
    return f"{' and '.join(parts)}."


def columns_used(task: Task) -> str:
    """Return how many columns are used. The register's own headings match without asking."""
    used = task.params["matches"]
    headings = [pair for pair in task.params["headings"] if pair[0] != PROBLEM]
    left = [f"“{heading}”" for name, heading in headings if name not in {*used, *READ_ONLY}]
    if len(used) == len(headings):
        count = len(used)
        return "Recognized the only column." if count == 1 else f"Recognized all {count} columns."
    more = [f"{number(len(left) - MOST_TOLD)} more"] if len(left) > MOST_TOLD else []
    names = ", ".join([*left[:MOST_TOLD], *more])
    end = f" and leave out {names}" if names else ""
    return f"We use {len(used)} of {len(headings)} columns{end}."


def reading(way: str, text: str, value: Any) -> str:
    """Return a way to read a column, with an example: "Day/month: 03/04/2023 is Apr 3, 2023"."""
    result = day_words(value) if isinstance(value, date) else f"{value:,.2f}"
    return f"{READINGS[way]}: {text[:LONGEST_EXAMPLE]} is {result}"


def which(about: FileColumn) -> str:
    """Return the question about a column whose values are ambiguous."""
    ways = [READINGS[way].lower() for way in about.reading.choices]
    text = next(iter(about.reading.choices.values()))[0][:LONGEST_EXAMPLE]
    if DecimalSign.POINT in about.reading.choices:
        sign = "point" if "." in text else "comma"
        return f"Does the {sign} in {text} separate thousands or decimals?"
    return f"Are these {', '.join(ways[:-1])} or {ways[-1]}? {text}"


def faults(task: Task) -> list[FaultLine]:
    """Return the faults of rows by kind and column, most frequent first."""
    counted: Mapping[str, int] = task.params.get("notes", {}).get(FAULTS_NOTED, {})
    frequent = sorted(counted.items(), key=lambda pair: -pair[1])
    return [_fault_line(task, key, rows) for key, rows in frequent]


def _fault_line(task: Task, key: str, rows: int) -> FaultLine:
    sort, _, ours = key.partition(":")
    kind = FIELDS[ours].type if ours in FIELDS else None
    is_unread = sort == FaultSort.UNREAD
    words = NOT_READ.get(kind, FAULTS[sort]) if kind and is_unread else FAULTS[sort]
    where = f" in “{import_matches.heading_of(task.params, ours)}”" if ours else ""
    cure = part = ""
    if sort == FaultSort.UNKNOWN:
        cure, part = "Add them", "words"
    elif rows > 1 and is_unread and kind in {FieldType.DAY, FieldType.MONEY}:
        cure, part = "Change how it’s read", "headings"
    elif is_unread and kind in {FieldType.CHOICE, FieldType.YES_NO}:
        cure, part = "Match its values", "words"
    return FaultLine(f"{plural(rows, 'row')}: {words}{where}", cure, part)


def notes(task: Task, counts: Mapping[str, int]) -> list[str]:
    """Return the notes on the file or on many of its rows."""
    return list(_notes(task, counts))


def why_not_confirm(task: Task) -> str:
    """Return why the import can't be confirmed, or "" if it can."""
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
    for called, (one, many) in ADDED.items():
        if names := noted.get(called):
            yield f"{_new(one, many, list(names.values()))}."
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


def origin_notes(task: Task) -> Iterator[str]:
    """Yield notes on guesses about the file, and on sheets that were ignored."""
    origin: Mapping[str, Any] = task.params.get("origin", {})
    if encoding := origin.get("encoding"):
        sentence = "The file doesn’t specify its text encoding, so we used"
        yield f"{sentence} {encoding}. Check letters such as ä and é below."
    if others := origin.get("other_tabs"):
        one, many = "other sheet", "other sheets"
        yield f"We read only the sheet “{origin['tab']}” and ignored {plural(others, one, many)}."


def _new(one: str, many: str, names: Sequence[tuple[str, int]]) -> str:
    """Return "2 new categories: Chairs (118 rows), Desks (1 row)", most frequent first."""
    known = sorted((pair for pair in names if pair[0]), key=lambda pair: -pair[1])
    others = sum(count for name, count in names if not name)
    parts = [f"{name} ({plural(count, 'row')})" for name, count in known[:MOST_TOLD]]
    if others:
        parts.append(f"more in {plural(sum(c for _, c in known[MOST_TOLD:]) + others, 'row')}")
    elif len(known) > MOST_TOLD:
        parts.append(f"{number(len(known) - MOST_TOLD)} more")
    count = plural(len(known), f"new {one}", f"new {many}")
    return f"{'More than ' if others else ''}{count}: {', '.join(parts)}"


def _together(verdict: str) -> Sequence[str]:
    """Return the outcomes with the same tag as this one."""
    return [other for other, tag in TAGS.items() if tag == TAGS[verdict]]


def _line(check: Task, row: TaskRow, held: Assignment | None) -> ImportLine:
    cells = import_task.cells_of(check, row)
    added = import_task.added_values(check, row)
    changes = {name: {"from": None, "to": value} for name, value in added.items()}
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
        changes=list(differences(changes | row.data.get("changes", {}))),
        messages=row.message.splitlines(),
    )
