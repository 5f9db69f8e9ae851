"""Write CSV in which a spreadsheet never runs a cell as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"  # without it Excel reads UTF-8 as the local code page

# The start of a possible formula (OWASP, CSV Injection), including full-width characters of East
# Asian keyboards, also after white space and quotation marks. It can be anywhere that a program
# with other separators starts a cell. Leading apostrophes are ours or look like ours. Skipping them
# makes `plain_cell` the exact inverse.
_RUNS: Final = r"""(?:['"]|[^\S\t\r\n])*[=+\-@\uff1d\uff0b\uff0d\uff20]"""
_BARE, _GUARDED = (
    re.compile(rf"(?<![^,;\t\r\n]){guard}(?={_RUNS})|\A{guard}(?='*[\t\r\n])")
    for guard in ("", "'")
)


def safe_cell(value: object) -> str:
    """Return a value as the text of a cell, with `'` before any possible formula.

    None is blank, and times are ISO 8601 in whole seconds. Numbers stay unchanged, even negative
    ones, because no one typed them as text.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return _BARE.sub("'", value) if isinstance(value, str) else str(value)


def plain_cell(text: str) -> str:
    """Return the argument of `safe_cell` from its result in a file."""
    return _GUARDED.sub("", text) if "'" in text else text


def write_csv(rows: Iterable[Sequence[object]], between: str = ",") -> Iterator[str]:
    """Yield the rows as lines of CSV (RFC 4180), the first with a byte order mark."""
    line = io.StringIO()
    writer = csv.writer(line, delimiter=between)
    line.write(BYTE_ORDER_MARK)
    for row in rows:
        writer.writerow([safe_cell(value) for value in row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
