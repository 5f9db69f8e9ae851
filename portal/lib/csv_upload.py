"""Read a CSV that people made with whatever program they have."""

import csv
import io
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
from portal.lib.spreadsheets.text_encodings import read_text

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
