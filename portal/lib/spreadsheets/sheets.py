"""What is in a file of rows, whatever wrote it: its headings, and its rows by column."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from portal.lib.csv_cells import plain_cell
from portal.lib.typed_text import tidy

MOST_ROWS: Final = 20_000
MOST_COLUMNS: Final = 200
LONGEST_CELL: Final = 20_000
TOO_WIDE: Final = (
    f"This file has more than {MOST_COLUMNS} columns. Take out those that are not needed"
)
LONGEST_HEADING: Final = 200
# What may stand between cells; of those in the heading the most frequent does.
SEPARATORS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab"}

# (number of the line as a spreadsheet counts them, its cells)
Line = tuple[int, Sequence[str]]


class UnreadableError(ValueError):
    """This is no file of ours; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the number of its line as a spreadsheet counts them, and its cells by column.

    `problem`: why the cells cannot be trusted; nothing where they can.
    """

    number: int
    cells: dict[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sheet comes from. `separator`: between its cells, nothing in a workbook.

    `encoding`: what its letters were read as, where that had to be guessed; `tab`: its name in
    the workbook, of which `other_tabs` more are left out.
    """

    separator: str = ""
    encoding: str = ""
    tab: str = ""
    other_tabs: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """The columns in the order of the file, in small letters, and every row that is not blank.

    `rows` can be walked again and again. `headings`: the same columns as the file writes them.
    """

    columns: Sequence[str]
    rows: Iterable[Row]
    headings: Sequence[str] = ()
    origin: Origin = Origin()


def sheet_of(lines: Iterator[Line], origin: Origin) -> Sheet:
    """The sheet that these lines make, the first of them its heading. Raises `UnreadableError`.

    The apostrophes that our own export puts before formulas are taken away again.
    """
    _, heading = next(lines, (1, None))
    if heading is None:
        raise UnreadableError("This file is empty")
    headings = [tidy(plain_cell(name))[:LONGEST_HEADING] for name in heading]
    columns = ["_".join(name.lower().split()) for name in headings]
    _check(columns)
    rows = list(islice(_rows(columns, lines, origin.separator), MOST_ROWS + 1))
    if not rows:
        raise UnreadableError("This file has a heading and no rows")
    if len(rows) > MOST_ROWS:
        raise UnreadableError(f"This file has more than {MOST_ROWS:,} rows. Split it into several")
    named = [pair for pair in zip(columns, headings, strict=True) if pair[0]]
    return Sheet([column for column, _ in named], rows, [name for _, name in named], origin)


def _rows(columns: Sequence[str], lines: Iterable[Line], between: str) -> Iterator[Row]:
    """One at a time: a file of nothing but line ends has millions of them."""
    for number, line in lines:
        if any(line):
            yield Row(number, _cells(columns, line), _left_over(line[len(columns) :], between))


def _left_over(cells: Iterable[str], between: str) -> str:
    """What stands beside the last column: most often half of a text with a comma in it."""
    words = next((text.strip() for text in cells if text.strip()), "")
    if not words:
        return ""
    way_out = "Write a heading above it, or take it out"
    if between:
        way_out = f"Put a text that has {SEPARATORS[between]} in it between quotation marks"
    return f"It has more cells than the heading: “{words[:40]}” is left over. {way_out}"


def _check(columns: Sequence[str]) -> None:
    named = Counter(column for column in columns if column)
    if len(named) > MOST_COLUMNS:
        raise UnreadableError(TOO_WIDE)
    twice = sorted(column for column, count in named.items() if count > 1)
    if twice:
        raise UnreadableError(f"The column {twice[0]} is there twice. Remove one of them")


def _cells(columns: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    pairs = zip(columns, line, strict=False)
    return {column: _cell(text) for column, text in pairs if column}


def _cell(text: str) -> str:
    return tidy(plain_cell(text))[:LONGEST_CELL]
