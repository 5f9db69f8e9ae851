"""The program that reads a file of rows: a child of ours, which may die of one.

It gets CSV, Excel or OpenDocument as its standard input and writes lines of JSON to its standard
output: the sentence that says why it cannot be read, or [columns, headings, origin], then [number,
[cell, …], problem] for each row. It limits itself before it reads, and imports nothing of ours but
pure modules of `lib`: what opens the file holds no key, no database and no setting.
"""

import io
import json
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain
from typing import Any, Final

from portal.lib.spreadsheets.sheets import (
    MOST_COLUMNS,
    MOST_ROWS,
    Line,
    Origin,
    Sheet,
    UnreadableError,
    read_csv,
    sheet_of,
)

MEMORY: Final = 640 * 1024 * 1024  # bytes of addresses, of which Python and its libraries take some
CPU_SECONDS: Final = 10
MOST_WRITTEN: Final = 48 * 1024 * 1024  # bytes
MOST_FILES: Final = 16
# Blank rows between others; beyond that the rest is not looked at.
MOST_BLANK: Final = 100_000

# How files of spreadsheet programs begin: .xlsx, .xlsm, .xlsb and .ods, and the older .xls.
SIGNS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
DAMAGED: Final = (
    "Choose a file that opens in your spreadsheet program. This workbook is incomplete or damaged"
)
TOO_MUCH: Final = 3
FAILED: Final = 1  # as Python ends after an error; the library panics over some broken files


def limit() -> None:
    """Bound what this process may take, for good."""
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, MOST_WRITTEN),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    os.nice(10)


def answer(content: bytes) -> Iterator[object]:
    """Yield the lines to write."""
    try:
        sheet = _workbook(content) if content.startswith(SIGNS) else read_csv(content)
    except UnreadableError as error:
        yield str(error)
        return
    yield sheet.columns, sheet.headings, asdict(sheet.origin)
    for row in sheet.rows:
        yield row.number, list(row.cells.values()), row.problem


def _workbook(content: bytes) -> Sheet:
    """Its first visible sheet with anything in it; formulas are read as what they came to last."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        return _sheet(CalamineWorkbook.from_filelike(io.BytesIO(content)))
    except UnreadableError:
        raise
    except PasswordError:
        raise UnreadableError(
            "Save this workbook without a password, then choose the new file"
        ) from None
    except (CalamineError, ValueError):
        raise UnreadableError(DAMAGED) from None


def _sheet(book: Any) -> Sheet:
    from python_calamine import SheetVisibleEnum

    sheets = book.sheets_metadata
    shown = [each.name for each in sheets if each.visible == SheetVisibleEnum.Visible]
    for name in shown:
        rows = _rows(book.get_sheet_by_name(name))
        first = next(rows, None)
        if first is not None:
            origin = Origin(tab=name[:80], other_tabs=len(shown) - 1)
            return sheet_of(chain([first], rows), origin)
    raise UnreadableError("Choose a workbook with data. All sheets in this one are empty")


def _rows(sheet: Any) -> Iterator[Line]:
    """Yield the rows that are not blank. They are counted from the sheet's first, whatever is in
    it; its columns from the first that has something."""
    found = blank = 0
    for number, line in enumerate(sheet.iter_rows(), start=1):
        texts = _texts(line[: MOST_COLUMNS + 1])
        if texts:
            yield number, texts
            found, blank = found + 1, 0
        else:
            blank += 1
        if found > MOST_ROWS + 1 or blank > MOST_BLANK:
            return


def _texts(line: Sequence[Any]) -> list[str]:
    """Return the cells as text, without the blank ones at the end."""
    texts = [text_of(value) for value in line]
    while texts and not texts[-1].strip():
        texts.pop()
    return texts


def text_of(value: Any) -> str:
    """Return a cell as a person would type it: 2023-12-18, 1249.5, yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        # As many digits as Excel shows: 0.1 + 0.2 is 0.3 there.
        return format(Decimal(f"{value:.15g}"), "f")
    if isinstance(value, datetime):
        is_day = value.time() == time()
        return value.date().isoformat() if is_day else value.isoformat(" ", "minutes")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat("minutes")
    return str(value)


def main() -> int:
    """Read, write, end: 0 when it was done, `TOO_MUCH` where a bound was met."""
    limit()
    try:
        for line in answer(sys.stdin.buffer.read()):
            sys.stdout.buffer.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        sys.stdout.flush()
    except (MemoryError, OSError):
        return TOO_MUCH
    return 0


if __name__ == "__main__":
    sys.exit(main())
