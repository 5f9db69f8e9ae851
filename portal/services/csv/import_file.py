"""The file of an import, whatever program wrote it."""

from typing import IO, Final

from portal.extensions import settings
from portal.lib.file_lock import FileLock
from portal.lib.spreadsheets.files import read_file
from portal.lib.spreadsheets.sheets import Sheet, UnreadableError
from portal.services.core.refusals import Refusal

# Files that are read at a time on a machine: each may take its child's memory.
MOST_OPEN: Final = 2
FOLDER: Final = "imports"
FIELD: Final = "file"


def read(file: IO[bytes]) -> Sheet:
    """Read a file: CSV, Excel or OpenDocument. Refuses what cannot be read at its field."""
    slot = _slot()
    try:
        return read_file(file)
    except UnreadableError as error:
        raise Refusal(str(error), field=FIELD) from None
    finally:
        slot.release()


def _slot() -> FileLock:
    """Take a place for one more file among all processes of this machine."""
    folder = settings().instance_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(MOST_OPEN):
        if slot := FileLock.take(folder / str(number)):
            return slot
    sentence = "Other files are being read at this moment. Wait half a minute, then try again"
    raise Refusal(sentence, field=FIELD)
