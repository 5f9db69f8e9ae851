"""Files of Excel and OpenDocument, opened in a child process that may die of them.

What such a file makes of memory and time is its writer's choice: a few kilobytes can ask for half
a terabyte. So a child reads it (`workbook_child.py`), bounded in memory, processor time, what it
writes and how long it may take at all; whatever becomes of it, the portal goes on and says so.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

from portal.lib.spreadsheets import workbook_child
from portal.lib.spreadsheets.sheets import Line, Origin, Sheet, UnreadableError, sheet_of

# How files of spreadsheet programs begin: .xlsx, .xlsm, .xlsb and .ods, and the older .xls.
SIGNS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
CHILD: Final = Path(workbook_child.__file__)
SECONDS: Final = 20.0  # by the clock on the wall

DAMAGED: Final = {"problem": workbook_child.DAMAGED}
AGAIN: Final = "Open it in your spreadsheet program, save it again, and choose the new file"
TOO_LARGE: Final = (
    "This workbook is too large to be read here. Save its sheet as “CSV UTF-8”, and choose "
    "that file"
)
SENTENCES: Final = {
    workbook_child.DAMAGED: f"This workbook cannot be read: it may be cut off or damaged. {AGAIN}",
    workbook_child.PASSWORD: "This workbook is protected by a password. Save it without one, and "
    "choose the new file",
    workbook_child.BLANK: "This workbook has no sheet with anything in it",
}


def is_workbook(content: bytes) -> bool:
    """Whether it begins as files of spreadsheet programs do."""
    return content.startswith(SIGNS)


def read_workbook(content: bytes) -> Sheet:
    """Its first visible sheet with anything in it; formulas are read as what they came to last.

    Takes up to `SECONDS` and about 640 MB, beside this process. Raises `UnreadableError`.
    """
    with TemporaryFile() as given, TemporaryFile() as written:
        given.write(content)
        given.seek(0)
        ended = _ended(given, written)
        if ended not in {0, workbook_child.FAILED}:
            raise UnreadableError(TOO_LARGE)
        written.seek(0)
        head: Any = json.loads(written.readline()) if ended == 0 else DAMAGED
        if problem := head.get("problem"):
            raise UnreadableError(SENTENCES[problem])
        return sheet_of(_lines(written), Origin(tab=head["tab"], other_tabs=head["other_tabs"]))


def _ended(given: IO[bytes], written: IO[bytes]) -> int | None:
    """Have the child read it; how it ended, None where it took too long. It gets nothing of this
    process but the two files."""
    child = subprocess.Popen(  # noqa: S603 - our own program, with nothing of the file in its call
        [sys.executable, "-I", str(CHILD)],
        stdin=given,
        stdout=written,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        return child.wait(SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        child.kill()
        child.wait()


def _lines(written: IO[Any]) -> Iterator[Line]:
    for line in written:
        number, texts = json.loads(line)
        yield number, texts
