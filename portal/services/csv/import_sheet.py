"""The sheet of an import before anything is looked up: its headings, and rows that clash. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from portal.lib.spreadsheets.sheets import Row, Sheet
from portal.services.assets.fields import FieldType, fields_of_type
from portal.services.assets.tag_numbers import of_the_series
from portal.services.core.refusals import Refusal
from portal.services.csv.export import COLUMNS, PROBLEM, READ_ONLY
from portal.services.csv.import_matches import NEEDED, Matches, Words, cells_by
from portal.services.csv.import_rows import NO, YES, Verdict

# Columns in which nothing else can be kept than these words.
OURS: Final[Mapping[str, frozenset[str]]] = {
    **{field.name: frozenset(field.choices) for field in fields_of_type(FieldType.CHOICE)},
    **{field.name: YES | NO for field in fields_of_type(FieldType.YES_NO)},
}
NOT_SHARED: Final = ("asset_tag", "serial_number")
MOST_TOLD: Final = 3  # headings in a sentence
LONGEST_TOLD: Final = 40
ALIKE: Final = 0.75  # so that serial_numer is close to serial_number, and asset_name to nothing


def known_columns(sheet: Sheet) -> list[str]:
    """Return the columns that an import reads. Refuses a sheet that names no assets."""
    columns = [column for column in sheet.columns if column in COLUMNS]
    if set(NEEDED) & set(columns):
        return columns
    headings = [column[:LONGEST_TOLD] for column in sheet.columns[:MOST_TOLD]]
    more = ["…"] if len(sheet.columns) > MOST_TOLD else []
    reads = f"reads “{', '.join(headings + more)}”" if headings else "is blank"
    sentence = f"Add a column {' or '.join(NEEDED)}. The first row {reads}"
    raise Refusal(sentence, field="file")


def unknown_columns(sheet: Sheet) -> dict[str, str]:
    """Return the unknown columns, each with the one that was probably meant, or nothing."""
    known = (*COLUMNS, *READ_ONLY, PROBLEM)
    free = [column for column in COLUMNS if column not in sheet.columns]
    unknown = [column for column in sheet.columns if column not in known]
    return {column: "".join(get_close_matches(column, free, 1, ALIKE)) for column in unknown}


def needs_matching(sheet: Sheet) -> bool:
    """Return whether a person has to match its headings, or the words below them."""
    if unknown_columns(sheet) or not set(NEEDED) & set(sheet.columns):
        return True
    return any(
        (word := row.cells.get(field, "")) and word.lower() not in OURS[field]
        for row in sheet.rows
        for field in OURS
    )


def rows_with_problems(
    rows: Iterable[Row], matches: Matches, words: Words
) -> Iterator[tuple[Row, str]]:
    """Yield each row of the file, and why the file alone already rules it out."""
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        cells = cells_by(matches, words, row.cells)
        yield row, row.problem or _said_before(seen, cells, row.number)


def stored_rows(task_id: int, rows: Iterable[Row], matches: Matches) -> Iterator[dict[str, Any]]:
    """Yield the rows as they are stored: the cells that say something, as the file has them."""
    for row, problem in rows_with_problems(rows, matches, {}):
        data: dict[str, Any] = {"cells": {name: text for name, text in row.cells.items() if text}}
        if row.problem:
            data["problem"] = row.problem
        outcome = Verdict.ERROR if problem else None
        yield {
            "task_id": task_id,
            "number": row.number,
            "data": data,
            "outcome": outcome,
            "message": problem,
        }


def numbered(tags: Iterable[str]) -> list[str]:
    """Return the file's own tags that rows without one must not get."""
    said = set(tags)
    return sorted(of_the_series(said)) if "" in said else []


def _said_before(seen: dict[tuple[str, str], int], cells: Mapping[str, str], number: int) -> str:
    """Return what two rows of one file cannot share."""
    for name in NOT_SHARED:
        key = (name, cells.get(name, "").lower())
        if key[1] and (first := seen.setdefault(key, number)) != number:
            return f"Row {first} has the same {name}"
    return ""
