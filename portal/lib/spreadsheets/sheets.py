"""Read the headings and rows of a file from any spreadsheet program."""

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
# Possible separators of cells. The most frequent one in the heading counts.
SEPARATORS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab"}

# (line number in the spreadsheet, cells)
Line = tuple[int, Sequence[str]]


class UnreadableError(ValueError):
    """An unreadable file. The message says how to fix it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line number in the spreadsheet, and its cells by column.

    `problem`: the reason why the cells can't be trusted, blank if they can.
    """

    number: int
    cells: dict[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a sheet. `separator`: between cells, blank for a workbook.

    `encoding`: the encoding if it was guessed. `tab`: its name in the workbook. `other_tabs`: the
    number of visible tabs that are left out.
    """

    separator: str = ""
    encoding: str = ""
    tab: str = ""
    other_tabs: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """The columns in the file's order, in lowercase, and every row that isn't blank.

    `rows` can be iterated repeatedly. `headings`: the same columns as written in the file.
    """

    columns: Sequence[str]
    rows: Iterable[Row]
    headings: Sequence[str] = ()
    origin: Origin = Origin()


def sheet_of(lines: Iterator[Line], origin: Origin) -> Sheet:
    """Return the sheet of these lines, whose first one is the heading. Raises `UnreadableError`.

    Apostrophes that our own export puts before formulas are removed.
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
    """Yield the rows one at a time, because a file of line breaks has millions of lines."""
    for number, line in lines:
        if any(line):
            yield Row(number, _cells(columns, line), _left_over(line[len(columns) :], between))


def _left_over(cells: Iterable[str], between: str) -> str:
    """Return the problem of text after the last column, usually half of a text with a comma."""
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
    """Return a text as a row stores it, tidy and at most `LONGEST_CELL` characters long."""
    return tidy(text)[:LONGEST_CELL]


# The most cells, mostly blank, that spreadsheet programs write in a line. Separators inside a text
# count too, but no text in an import has that many.
WIDEST: Final = 16_384


def read_csv(content: bytes) -> Sheet:
    """Return the sheet in a CSV file. Raises `UnreadableError`.

    It is UTF-8 or UTF-16, else Windows-1252, with `,`, `;`, or a tab between cells.
    """
    text, guess = read_text(content)
    between = _delimiter(text)
    return sheet_of(_csv_lines(text, between), Origin(separator=between, encoding=guess))


def _csv_lines(text: str, between: str) -> Iterator[Line]:
    """Yield the lines numbered from 1.

    Parsing is strict. Otherwise, an open quotation mark would swallow every row after it.
    """
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
    """Refuse a line with too many separators before it becomes millions of cells."""
    for line in lines:
        if line.count(between) >= WIDEST:
            raise UnreadableError(TOO_WIDE)
        yield line


def _delimiter(text: str) -> str:
    heading = text.partition("\n")[0]
    return max(SEPARATORS, key=heading.count)


# Encodings by byte order mark. UTF-32's mark starts like UTF-16's, so it comes first.
MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Excel writes plain “CSV” like this in Western Europe and America. Any single-byte encoding can be
# read as it, so the person who chose the file is asked to check the letters.
WINDOWS: Final = "Windows-1252"
LOOKED_AT: Final = 1024  # bytes to detect UTF-16 without a mark, in which every second byte is 0
# Never in a text, but always in a program or a picture.
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
    """Return the text without invisible characters, and its encoding if that was guessed.

    Raises `UnreadableError`.
    """
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
    """Return UTF-16's byte order if every second byte is 0, as in Western text, else blank."""
    begin = content[:LOOKED_AT]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = begin[first::2], begin[1 - first :: 2]
        if len(zeros) > 3 and zeros.count(0) > 0.7 * len(zeros) and others.count(0) == 0:
            return name
    return ""
