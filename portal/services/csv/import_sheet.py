"""The sheet of an import before anything is looked up: its headings, and rows that clash. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from portal.lib.csv_upload import Row, Sheet
from portal.services.core.refusals import Refusal
from portal.services.csv.columns import COLUMNS, PROBLEM, READ_ONLY

NEEDED: Final = ("asset_tag", "name")  # one of them
NOT_SHARED: Final = ("asset_tag", "serial_number")
MOST_TOLD: Final = 3  # headings in a sentence
LONGEST_TOLD: Final = 40
ALIKE: Final = 0.75  # so that serial_numer is close to serial_number, and asset_name to nothing


def known_columns(sheet: Sheet) -> list[str]:
    """The columns that an import reads. Refuses a sheet that names no assets."""
    columns = [column for column in sheet.columns if column in COLUMNS]
    if set(NEEDED) & set(columns):
        return columns
    told = [column[:LONGEST_TOLD] for column in sheet.columns[:MOST_TOLD]]
    more = ["…"] if len(sheet.columns) > MOST_TOLD else []
    reads = f"reads “{', '.join(told + more)}”" if told else "is blank"
    sentence = f"The file needs a column {' or '.join(NEEDED)}. Its first row {reads}"
    raise Refusal(sentence, field="file")


def unknown_columns(sheet: Sheet) -> dict[str, str]:
    """The columns that nobody knows, each with the one that was probably meant, or nothing."""
    known = (*COLUMNS, *READ_ONLY, PROBLEM)
    free = [column for column in COLUMNS if column not in sheet.columns]
    unknown = [column for column in sheet.columns if column not in known]
    return {column: "".join(get_close_matches(column, free, 1, ALIKE)) for column in unknown}


def rows_with_problems(sheet: Sheet, columns: Sequence[str]) -> Iterator[tuple[Row, str]]:
    """Each row with the cells of these columns, and why the file alone already rules it out."""
    seen: dict[tuple[str, str], int] = {}
    for row in sheet.rows:
        cells = {name: row.cells[name] for name in columns if row.cells.get(name)}
        problem = row.problem or _said_before(seen, cells, row.number)
        yield Row(row.number, cells), problem


def _said_before(seen: dict[tuple[str, str], int], cells: Mapping[str, str], number: int) -> str:
    """What two rows of one file cannot share."""
    for name in NOT_SHARED:
        key = (name, cells.get(name, "").lower())
        if key[1] and (first := seen.setdefault(key, number)) != number:
            return f"Row {first} has the same {name}"
    return ""
