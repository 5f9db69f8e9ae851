"""Read a CSV that people made with whatever program they have."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from portal.lib.csv_cells import plain_cell
from portal.lib.typed_text import tidy, without_unseen

MOST_ROWS: Final = 20_000
MOST_COLUMNS: Final = 200
LONGEST_CELL: Final = 20_000
# What may stand between cells; of those in the heading the most frequent does.
SEPARATORS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
# How files of spreadsheet programs begin: .xlsx and .ods, and the older .xls.
WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class UnreadableError(ValueError):
    """This is no CSV of ours; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the number of its line as a spreadsheet counts them, and its cells by column.

    `problem`: why the cells cannot be trusted; nothing where they can.
    """

    number: int
    cells: dict[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The columns in the order of the file, in small letters, and every row that is not blank."""

    columns: Sequence[str]
    rows: Sequence[Row]


def read_csv(content: bytes) -> Sheet:
    """The sheet in `content`: UTF-8 with or without byte order mark, and `,`, `;` or a tab between
    cells.

    Raises `UnreadableError`. The apostrophes that our own export puts before formulas are taken
    away again.
    """
    text = _decoded(content)
    between = _delimiter(text)
    lines = _lines(text, between)
    _, heading = next(lines, (1, None))
    if heading is None:
        raise UnreadableError("This file is empty")
    columns = [_column(name) for name in heading]
    _check(columns)
    rows = list(islice(_rows(columns, lines, between), MOST_ROWS + 1))
    if not rows:
        raise UnreadableError("This file has a heading and no rows")
    if len(rows) > MOST_ROWS:
        raise UnreadableError(f"This file has more than {MOST_ROWS:,} rows. Split it into several")
    return Sheet([column for column in columns if column], rows)


def _lines(text: str, between: str) -> Iterator[tuple[int, list[str]]]:
    """Numbered from 1. Strictly: an open quotation mark would swallow every row after it."""
    reader, number = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True), 0
    try:
        for number, line in enumerate(reader, start=1):
            yield number, line
    except csv.Error:
        raise UnreadableError(
            f"Row {number + 1:,} cannot be read as CSV. Look at its quotation marks, "
            "or save the file as CSV again"
        ) from None


def _rows(
    columns: Sequence[str], lines: Iterable[tuple[int, list[str]]], between: str
) -> Iterator[Row]:
    """One at a time: a file of nothing but line ends has millions of them."""
    for number, line in lines:
        if any(line):
            yield Row(number, _cells(columns, line), _left_over(line[len(columns) :], between))


def _left_over(cells: Iterable[str], between: str) -> str:
    """What stands beside the last column: most often half of a text with a comma in it."""
    words = next((text.strip() for text in cells if text.strip()), "")
    return words and (
        f"It has more cells than the heading: “{words[:40]}” is left over. "
        f"Put a text that has {SEPARATORS[between]} in it between quotation marks"
    )


def _decoded(content: bytes) -> str:
    if content.startswith(WORKBOOKS):
        raise UnreadableError(
            "This is a workbook, not a CSV file. Open it in your spreadsheet program, save it as "
            "“CSV UTF-8”, and choose the new file"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError(
            "Letters such as ä or é cannot be read in this file. Save it as “CSV UTF-8”, and "
            "choose the new file"
        ) from None
    return without_unseen(text)


def _delimiter(text: str) -> str:
    heading = text.partition("\n")[0]
    return max(SEPARATORS, key=heading.count)


def _column(name: str) -> str:
    return "_".join(plain_cell(name.strip()).lower().split())


def _check(columns: Sequence[str]) -> None:
    named = Counter(column for column in columns if column)
    if len(named) > MOST_COLUMNS:
        raise UnreadableError(
            f"This file has more than {MOST_COLUMNS} columns. Take out those that are not needed"
        )
    twice = sorted(column for column, count in named.items() if count > 1)
    if twice:
        raise UnreadableError(f"The column {twice[0]} is there twice. Remove one of them")


def _cells(columns: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    pairs = zip(columns, line, strict=False)
    return {column: _cell(text) for column, text in pairs if column}


def _cell(text: str) -> str:
    return tidy(plain_cell(text).replace("\r\n", "\n"))[:LONGEST_CELL]
