"""The file of an import, whatever program wrote it."""

from typing import Final

from portal.extensions import settings
from portal.lib.csv_upload import read_csv
from portal.lib.file_lock import FileLock
from portal.lib.spreadsheets.sheets import Sheet, UnreadableError
from portal.lib.spreadsheets.workbooks import is_workbook, read_workbook
from portal.services.core.refusals import Refusal

# Workbooks that are opened at a time on a machine: each may take its child's memory.
MOST_OPEN: Final = 2
FOLDER: Final = "workbooks"
FIELD: Final = "file"


def read(content: bytes) -> Sheet:
    """What is in the file: CSV, Excel or OpenDocument. Refuses what cannot be read at its field."""
    try:
        if not is_workbook(content):
            return read_csv(content)
        slot = _slot()
        try:
            return read_workbook(content)
        finally:
            slot.release()
    except UnreadableError as error:
        raise Refusal(str(error), field=FIELD) from None


def _slot() -> FileLock:
    """A place for one more workbook, told among all processes of this machine by locked files."""
    folder = settings().instance_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(MOST_OPEN):
        if slot := FileLock.take(folder / str(number)):
            return slot
    sentence = "Other workbooks are being read at this moment. Wait half a minute, then try again"
    raise Refusal(sentence, field=FIELD)
