"""The program that opens a workbook: a child of ours, which may die of one.

It reads a file of Excel or OpenDocument from its standard input and writes lines of JSON to its
standard output: {"tab", "other_tabs"} or {"problem"}, then [number, [text, …]] for each row that
is not blank, numbered from 1. It limits itself before it reads, and imports nothing of ours: what
opens the file holds no key, no database and no setting.
"""

import io
import json
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

MEMORY: Final = 640 * 1024 * 1024  # bytes of addresses, of which Python and its libraries take some
CPU_SECONDS: Final = 10
MOST_WRITTEN: Final = 48 * 1024 * 1024  # bytes
MOST_FILES: Final = 16
# As portal/lib/spreadsheets/sheets.py has them, and one more of each, so that it can say so.
MOST_LINES: Final = 20_001
MOST_CELLS: Final = 201
LONGEST_CELL: Final = 20_000
# Blank rows between others; beyond that the rest is not looked at.
MOST_BLANK: Final = 100_000

DAMAGED, PASSWORD, BLANK = "damaged", "password", "blank"
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
    """What is written, line by line."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        yield from _sheet(book)
    except PasswordError:
        yield {"problem": PASSWORD}
    except (CalamineError, ValueError):
        yield {"problem": DAMAGED}


def _sheet(book: Any) -> Iterator[object]:
    """The first visible sheet that has anything in it."""
    from python_calamine import SheetVisibleEnum

    sheets = book.sheets_metadata
    shown = [each.name for each in sheets if each.visible == SheetVisibleEnum.Visible]
    for name in shown:
        rows = _rows(book.get_sheet_by_name(name))
        first = next(rows, None)
        if first is not None:
            yield {"tab": name[:80], "other_tabs": len(shown) - 1}
            yield first
            yield from rows
            return
    yield {"problem": BLANK}


def _rows(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Those that are not blank. Rows are counted from the sheet's first, whatever is in it; its
    columns from the first that has something."""
    found = blank = 0
    for number, line in enumerate(sheet.iter_rows(), start=1):
        texts = _texts(line[:MOST_CELLS])
        if texts:
            yield number, texts
            found, blank = found + 1, 0
        else:
            blank += 1
        if found > MOST_LINES or blank > MOST_BLANK:
            return


def _texts(line: Sequence[Any]) -> list[str]:
    """The cells as text, without the blank ones at the end."""
    texts = [text_of(value)[:LONGEST_CELL] for value in line]
    while texts and not texts[-1].strip():
        texts.pop()
    return texts


def text_of(value: Any) -> str:
    """A cell as a person would type it: 2023-12-18, 1249.5, yes."""
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
            sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except (MemoryError, OSError):
        return TOO_MUCH
    return 0


if __name__ == "__main__":
    sys.exit(main())
