"""Check a sheet's headings and find its conflicting rows, without a database."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from portal.lib.spreadsheets.sheets import Row, Sheet
from portal.services.assets.fields import FieldType, fields_of_type
from portal.services.assets.tag_numbers import of_the_series
from portal.services.core.refusals import Refusal
from portal.services.csv.export import COLUMNS, PROBLEM, READ_ONLY
from portal.services.csv.import_matches import NEEDED, Matches, Words, cells_by
from portal.services.csv.import_readings import READ, Reading, reading_of
from portal.services.csv.import_rows import NO, YES, Verdict

# Columns that accept only these words.
OURS: Final[Mapping[str, frozenset[str]]] = {
    **{field.name: frozenset(field.choices) for field in fields_of_type(FieldType.CHOICE)},
    **{field.name: YES | NO for field in fields_of_type(FieldType.YES_NO)},
}
NOT_SHARED: Final = {"asset_tag": "tag", "serial_number": "serial number"}
MOST_TOLD: Final = 3  # headings in a sentence
LONGEST_TOLD: Final = 40


def known_columns(sheet: Sheet) -> list[str]:
    """Return the columns that an import reads. Raises `Refusal` if none can identify assets."""
    columns = [column for column in sheet.columns if column in COLUMNS]
    if set(NEEDED) & set(columns):
        return columns
    headings = [column[:LONGEST_TOLD] for column in sheet.columns[:MOST_TOLD]]
    more = ["…"] if len(sheet.columns) > MOST_TOLD else []
    reads = f"reads “{', '.join(headings + more)}”" if headings else "is blank"
    sentence = f"Add a column {' or '.join(NEEDED)}. The first row {reads}"
    raise Refusal(sentence, field="file")


def needs_matching(sheet: Sheet) -> bool:
    """Return whether a person must match the sheet's headings or some of the words below them."""
    known = {*COLUMNS, *READ_ONLY, PROBLEM}
    if not known.issuperset(sheet.columns) or not set(NEEDED) & set(sheet.columns):
        return True
    return any(
        (word := row.cells.get(field, "")) and word.lower() not in OURS[field]
        for row in sheet.rows
        for field in OURS
    )


def readings(
    rows: Iterable[Row], matches: Matches, currency: str, *, is_workbook: bool
) -> dict[str, Reading]:
    """Return the reading of each matched column of dates or amounts."""
    texts: dict[str, set[str]] = {ours: set() for ours in matches.values() if ours in READ}
    columns = [(column, texts[ours]) for column, ours in matches.items() if ours in texts]
    for row in rows:
        for column, below in columns:
            if text := row.cells.get(column, ""):
                below.add(text)
    return {
        ours: reading_of(ours, below, currency, is_workbook=is_workbook)
        for ours, below in texts.items()
    }


def twins(
    rows: Iterable[Row], matches: Matches, words: Words
) -> Iterator[tuple[Row, tuple[str, str]]]:
    """Yield each row with the column and sentence for a tag or serial number of an earlier row.

    Both are blank if there is no such conflict.
    """
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        cells = cells_by(matches, words, row.cells)
        yield row, ("", "") if row.problem else _said_before(seen, cells, row.number)


def stored_rows(task_id: int, rows: Iterable[Row], matches: Matches) -> Iterator[dict[str, Any]]:
    """Yield the rows as stored, with their nonblank cells as in the file."""
    for row, (column, sentence) in twins(rows, matches, {}):
        yield stored_row(task_id, row, column, sentence)


def stored_row(task_id: int, row: Row, column: str, sentence: str) -> dict[str, Any]:
    """Return the row as stored, with the column and sentence of its conflict, if any."""
    data: dict[str, Any] = {"cells": {name: text for name, text in row.cells.items() if text}}
    if row.problem:
        data["problem"] = row.problem
    if sentence:
        data["twin"] = [column, sentence]
    return {
        "task_id": task_id,
        "number": row.number,
        "data": data,
        "outcome": Verdict.ERROR if row.problem else None,
        "message": row.problem,
    }


def numbered(tags: Iterable[str]) -> list[str]:
    """Return the file's own tags that `next_tag` must not give to its rows without a tag."""
    unique = set(tags)
    return sorted(of_the_series(unique)) if "" in unique else []


def _said_before(
    seen: dict[tuple[str, str], int], cells: Mapping[str, str], number: int
) -> tuple[str, str]:
    """Return the column and sentence for a tag or serial number of an earlier row."""
    for name in NOT_SHARED:
        key = (name, cells.get(name, "").lower())
        if key[1] and (first := seen.setdefault(key, number)) != number:
            return name, f"Row {first} already has this {NOT_SHARED[name]}"
    return "", ""
