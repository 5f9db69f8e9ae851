"""Read a file of rows in a child process, because a hostile file can crash it.

A few kilobytes can expand to half a terabyte. So a child process (`file_child.py`) reads the file,
with limits on memory, CPU time, output, and total time. If it crashes, the portal continues and
reports it.
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
SECONDS: Final = 20.0  # of wall-clock time
TOO_LARGE: Final = (
    "This file is too large. Save its sheet as “CSV UTF-8” or split it into several files"
)


class _Rows:
    """The rows of a child's output. Each iteration reads them from its file again."""

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
        """Return the first line, parsed."""
        self.written.seek(0)
        return json.loads(self.written.readline())


def read_file(file: IO[bytes]) -> Sheet:
    """Return the sheet in a CSV, Excel, or OpenDocument file, with its rows on disk.

    The child takes up to `SECONDS` and about 640 MB. Raises `UnreadableError`.
    """
    rows = _Rows()
    with TemporaryFile() as copy:
        copyfileobj(file, copy)
        copy.seek(0)
        exit_code = _ended(copy, rows.written)
    if exit_code not in {0, file_child.FAILED}:
        raise UnreadableError(TOO_LARGE)
    head = rows.head() if exit_code == 0 else file_child.DAMAGED
    if isinstance(head, str):
        raise UnreadableError(head)
    columns, headings, origin = head
    return Sheet(columns, rows, headings, Origin(**origin))


def _ended(given: IO[bytes], written: IO[bytes]) -> int | None:
    """Run the child process. Returns its exit code, or None after a timeout.

    The child gets only the two files, and no environment of this process.
    """
    child = subprocess.Popen(  # noqa: S603 - our own program, without any arguments from the file
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
