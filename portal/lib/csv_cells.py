"""CSV that a spreadsheet shows and never runs."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"  # without it Excel reads UTF-8 as the local code page

# What a spreadsheet may take for a formula (OWASP, CSV Injection), the full-width forms of East
# Asian keyboards included, also after white space and quotation marks. It may begin wherever a
# program that splits lines otherwise than we do begins a cell. The apostrophes in front are ours,
# or look like ours: passing over them makes `plain_cell` the exact inverse.
_RUNS: Final = r"""(?:['"]|[^\S\t\r\n])*[=+\-@\uff1d\uff0b\uff0d\uff20]"""
_BARE, _GUARDED = (
    re.compile(rf"(?<![^,;\t\r\n]){guard}(?={_RUNS})|\A{guard}(?='*[\t\r\n])")
    for guard in ("", "'")
)


def safe_cell(value: object) -> str:
    """Return one value as the text of a cell; `'` stands before what a spreadsheet would run.

    None is blank and times are ISO 8601 in whole seconds. Numbers stay as they are, also below
    zero: they are not text that somebody typed.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return _BARE.sub("'", value) if isinstance(value, str) else str(value)


def plain_cell(text: str) -> str:
    """Return what `safe_cell` was given, read back from a file."""
    return _GUARDED.sub("", text) if "'" in text else text


def write_csv(rows: Iterable[Sequence[object]], between: str = ",") -> Iterator[str]:
    """Write the rows as lines of CSV (RFC 4180), the first with a byte order mark."""
    line = io.StringIO()
    writer = csv.writer(line, delimiter=between)
    line.write(BYTE_ORDER_MARK)
    for row in rows:
        writer.writerow([safe_cell(value) for value in row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
