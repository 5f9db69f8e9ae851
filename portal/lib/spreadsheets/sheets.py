"""Read a file of rows, whatever program wrote it: its headings, and its rows by column."""

import codecs
import csv
import io
import re
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
TOO_WIDE: Final = (
    f"Remove columns that you don’t need. This file has more than {MOST_COLUMNS} columns"
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
    """Return the sheet that these lines make, the first of them its heading. Raises
    `UnreadableError`.

    The apostrophes that our own export puts before formulas are taken away again.
    """
    _, heading = next(lines, (1, None))
    if heading is None:
        raise UnreadableError("Choose a file with data. This one is empty")
    headings = [tidy(plain_cell(name))[:LONGEST_HEADING] for name in heading]
    columns = ["_".join(name.lower().split()) for name in headings]
    _check(columns)
    rows = list(islice(_rows(columns, lines, origin.separator), MOST_ROWS + 1))
    if not rows:
        raise UnreadableError("Choose a file with data. This one has headings but no rows")
    if len(rows) > MOST_ROWS:
        raise UnreadableError(
            f"Split the file into several. This one has more than {MOST_ROWS:,} rows"
        )
    named = [pair for pair in zip(columns, headings, strict=True) if pair[0]]
    return Sheet([column for column, _ in named], rows, [name for _, name in named], origin)


def _rows(columns: Sequence[str], lines: Iterable[Line], between: str) -> Iterator[Row]:
    """Yield one at a time: a file of nothing but line ends has millions of them."""
    for number, line in lines:
        if any(line):
            yield Row(number, _cells(columns, line), _left_over(line[len(columns) :], between))


def _left_over(cells: Iterable[str], between: str) -> str:
    """Return what stands beside the last column: most often half of a text with a comma in it."""
    words = next((text.strip() for text in cells if text.strip()), "")
    if not words:
        return ""
    way_out = "Add a heading above it or remove it"
    if between:
        way_out = f"Put quotation marks around text with {SEPARATORS[between]}"
    return f"The row has more cells than the headings. “{words[:40]}” has no column. {way_out}"


def _check(columns: Sequence[str]) -> None:
    named = Counter(column for column in columns if column)
    if len(named) > MOST_COLUMNS:
        raise UnreadableError(TOO_WIDE)
    twice = sorted(column for column, count in named.items() if count > 1)
    if twice:
        raise UnreadableError(f"Remove the duplicate column {twice[0]}")


def _cells(columns: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    pairs = zip(columns, line, strict=False)
    return {column: _cell(text) for column, text in pairs if column}


def _cell(text: str) -> str:
    return kept_cell(plain_cell(text))


def kept_cell(text: str) -> str:
    """Return a text as a row keeps it: tidy, and no longer than a cell may be."""
    return tidy(text)[:LONGEST_CELL]


# Cells that spreadsheet programs write in a line, most of them blank. Separators inside of a text
# count too, and no text that anybody imports has as many.
WIDEST: Final = 16_384


def read_csv(content: bytes) -> Sheet:
    """Return the sheet in `content`: UTF-8 or UTF-16, else Windows-1252, with `,`, `;` or a tab
    between cells. Raises `UnreadableError`.
    """
    text, guess = read_text(content)
    between = _delimiter(text)
    return sheet_of(_csv_lines(text, between), Origin(separator=between, encoding=guess))


def _csv_lines(text: str, between: str) -> Iterator[Line]:
    """Yield them numbered from 1, read strictly: an open quotation mark would swallow every row
    after it."""
    lines, number = _narrow(io.StringIO(text, newline=""), between), 0
    reader = csv.reader(lines, delimiter=between, strict=True)
    try:
        for number, line in enumerate(reader, start=1):
            yield number, line
    except csv.Error:
        raise UnreadableError(
            f"Row {number + 1:,} isn’t valid CSV. Check its quotation marks or save the file as "
            "CSV again"
        ) from None


def _narrow(lines: Iterable[str], between: str) -> Iterator[str]:
    """Refuse a file of separators before millions of cells are made of them."""
    for line in lines:
        if line.count(between) >= WIDEST:
            raise UnreadableError(TOO_WIDE)
        yield line


def _delimiter(text: str) -> str:
    heading = text.partition("\n")[0]
    return max(SEPARATORS, key=heading.count)


# A byte order mark says it. That of UTF-32 begins as that of UTF-16 does, so it comes first.
MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Excel writes as plain “CSV” in Western Europe and America. Any text of one byte a letter
# could be read as it, so whoever chose the file is told to look at the letters.
WINDOWS: Final = "Windows-1252"
LOOKED_AT: Final = 1024  # bytes, from which UTF-16 without a mark is told: every second one is 0
# Never in a text, always somewhere in a program or a picture.
BINARY: Final = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")

NO_TEXT: Final = (
    "Choose a CSV, Excel, or OpenDocument file. Your spreadsheet program can save this one as "
    "“CSV UTF-8”"
)
CUT_OFF: Final = (
    "Save the file again as “CSV UTF-8”, then choose the new file. Some of its letters can’t be "
    "read"
)


def read_text(content: bytes) -> tuple[str, str]:
    """Return the text, without what nobody can see, and what its letters were taken for if that was
    a guess. Raises `UnreadableError`."""
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "")
    encoding = encoding or _without_mark(content)
    try:
        if encoding:
            return without_unseen(content.decode(encoding)), ""
        return without_unseen(content.decode("utf-8")), ""
    except UnicodeDecodeError:
        if encoding:
            raise UnreadableError(CUT_OFF) from None
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise UnreadableError(NO_TEXT) from None
    if BINARY.search(text):
        raise UnreadableError(NO_TEXT)
    return without_unseen(text), WINDOWS


def _without_mark(content: bytes) -> str:
    """UTF-16, if so: of letters of our part of the world one byte in two is 0."""
    begin = content[:LOOKED_AT]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = begin[first::2], begin[1 - first :: 2]
        if len(zeros) > 3 and zeros.count(0) > 0.7 * len(zeros) and others.count(0) == 0:
            return name
    return ""
