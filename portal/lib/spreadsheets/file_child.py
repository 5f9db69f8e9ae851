"""The child process that reads a file of rows. A hostile file can only crash this process.

It reads CSV, Excel, or OpenDocument from standard input and writes lines of JSON to standard
output. The first line is [columns, headings, origin], or only a sentence about an unreadable file.
Then [number, [cell, …], problem] follows for each row. The process limits its own resources before
it reads. It only imports pure modules of `lib`, so it has no keys, no database, and no settings.
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

MEMORY: Final = 640 * 1024 * 1024  # bytes of address space, including Python and its libraries
CPU_SECONDS: Final = 10
MOST_WRITTEN: Final = 48 * 1024 * 1024  # bytes
MOST_FILES: Final = 16
# Blank rows in a row. After more of them, the rest of the sheet is ignored.
MOST_BLANK: Final = 100_000

# The first bytes of workbooks: .xlsx, .xlsm, .xlsb, and .ods, then the older .xls.
SIGNS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
DAMAGED: Final = (
    "Choose a file that opens in your spreadsheet program. This workbook is incomplete or damaged"
)
TOO_MUCH: Final = 3
FAILED: Final = 1  # Python's exit code after an error. The library panics on some damaged files.


def limit() -> None:
    """Limit the resources of this process permanently."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, MOST_WRITTEN),
        (resource.RLIMIT_NOFILE, MOST_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    os.nice(10)


def answer(content: bytes) -> Iterator[object]:
    """Yield the lines of the output."""
    try:
        sheet = _workbook(content) if content.startswith(SIGNS) else read_csv(content)
    except UnreadableError as error:
        yield str(error)
        return
    yield sheet.columns, sheet.headings, asdict(sheet.origin)
    for row in sheet.rows:
        yield row.number, list(row.cells.values()), row.problem


def _workbook(content: bytes) -> Sheet:
    """Return the first visible sheet that isn't empty, with the last results of its formulas."""
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
    shown = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
    for name in shown:
        rows = _rows(book.get_sheet_by_name(name))
        first = next(rows, None)
        if first is not None:
            origin = Origin(tab=name[:80], other_tabs=len(shown) - 1)
            return sheet_of(chain([first], rows), origin)
    raise UnreadableError("Choose a workbook with data. All sheets in this one are empty")


def _rows(sheet: Any) -> Iterator[Line]:
    """Yield the rows that aren't blank.

    Row numbers also count blank rows. Columns start at the first one that isn't blank.
    """
    filled = blank = 0
    for number, line in enumerate(sheet.iter_rows(), start=1):
        texts = _texts(line[: MOST_COLUMNS + 1])
        if texts:
            yield number, texts
            filled, blank = filled + 1, 0
        else:
            blank += 1
        if filled > MOST_ROWS + 1 or blank > MOST_BLANK:
            return


def _texts(line: Sequence[Any]) -> list[str]:
    """Return the cells as texts, without blank ones at the end."""
    texts = [text_of(value) for value in line]
    while texts and not texts[-1].strip():
        texts.pop()
    return texts


def text_of(value: Any) -> str:
    """Return a cell as a person would type it: 2023-12-18, 1249.5, yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        # Excel shows this many digits, so 0.1 + 0.2 is 0.3.
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
    """Run the child process. Returns 0, or `TOO_MUCH` if it exceeded a limit."""
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
