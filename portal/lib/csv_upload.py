"""Read a CSV that people made with whatever program they have."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Final

from portal.lib.spreadsheets.sheets import (
    SEPARATORS,
    TOO_WIDE,
    Line,
    Origin,
    Sheet,
    UnreadableError,
    sheet_of,
)
from portal.lib.typed_text import without_unseen

# Cells that spreadsheet programs write in a line, most of them blank. Separators inside of a text
# count too, and no text that anybody imports has as many.
WIDEST: Final = 16_384


def read_csv(content: bytes) -> Sheet:
    """The sheet in `content`: UTF-8 or UTF-16, else Windows-1252, with `,`, `;` or a tab between
    cells. Raises `UnreadableError`.
    """
    text, guess = read_text(content)
    between = _delimiter(text)
    return sheet_of(_lines(text, between), Origin(separator=between, encoding=guess))


def _lines(text: str, between: str) -> Iterator[Line]:
    """Numbered from 1. Strictly: an open quotation mark would swallow every row after it."""
    lines, number = _narrow(io.StringIO(text, newline=""), between), 0
    reader = csv.reader(lines, delimiter=between, strict=True)
    try:
        for number, line in enumerate(reader, start=1):
            yield number, line
    except csv.Error:
        raise UnreadableError(
            f"Row {number + 1:,} cannot be read as CSV. Look at its quotation marks, "
            "or save the file as CSV again"
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
    "This is no CSV, Excel or OpenDocument file. Open it in your spreadsheet program, save it as "
    "“CSV UTF-8”, and choose the new file"
)
CUT_OFF: Final = (
    "Some letters cannot be read in this file: it may be cut off or damaged. Save it again as "
    "“CSV UTF-8”, and choose the new file"
)


def read_text(content: bytes) -> tuple[str, str]:
    """The text, without what nobody can see, and what its letters were taken for if that was a
    guess. Raises `UnreadableError`."""
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
