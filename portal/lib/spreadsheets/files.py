"""Files of rows, read in a child process that may die of them.

What such a file makes of memory and time is its writer's choice: a few kilobytes can ask for half
a terabyte. So a child reads it (`file_child.py`), bounded in memory, processor time, what it
writes and how long it may take at all; whatever becomes of it, the portal goes on and says so.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any, Final

from portal.lib.spreadsheets import file_child
from portal.lib.spreadsheets.sheets import Origin, Row, Sheet, UnreadableError

PROGRAM: Final = ("-m", file_child.__name__)
ROOT: Final = Path(__file__).parents[3]
SECONDS: Final = 20.0  # by the clock on the wall
TOO_LARGE: Final = (
    "This file is too large. Save its sheet as “CSV UTF-8” or split it into several files"
)


class _Rows:
    """The rows that a child has written, read from its file each time that they are asked for."""

    def __init__(self) -> None:
        self.written = TemporaryFile()  # noqa: SIM115 - closed with the rows

    def __iter__(self) -> Iterator[Row]:
        columns, _, _ = self.head()
        for line in self.written:
            number, cells, problem = json.loads(line)
            yield Row(number, dict(zip(columns, cells, strict=False)), problem)

    def __del__(self) -> None:
        self.written.close()

    def head(self) -> Any:
        """Return the first line."""
        self.written.seek(0)
        return json.loads(self.written.readline())


def read_file(file: IO[bytes]) -> Sheet:
    """Return the sheet in a file of CSV, Excel or OpenDocument; its rows lie on the disk.

    Takes up to `SECONDS` and about 640 MB, beside this process. Raises `UnreadableError`.
    """
    rows = _Rows()
    with TemporaryFile() as given:
        copyfileobj(file, given)
        given.seek(0)
        ended = _ended(given, rows.written)
    if ended not in {0, file_child.FAILED}:
        raise UnreadableError(TOO_LARGE)
    head = rows.head() if ended == 0 else file_child.DAMAGED
    if isinstance(head, str):
        raise UnreadableError(head)
    columns, headings, origin = head
    return Sheet(columns, rows, headings, Origin(**origin))


def _ended(given: IO[bytes], written: IO[bytes]) -> int | None:
    """Have the child read it; how it ended, None where it took too long. It gets nothing of this
    process but the two files."""
    child = subprocess.Popen(  # noqa: S603 - our own program, with nothing of the file in its call
        [sys.executable, "-s", *PROGRAM],
        stdin=given,
        stdout=written,
        stderr=subprocess.DEVNULL,
        env={},
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        return child.wait(SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        child.kill()
        child.wait()
