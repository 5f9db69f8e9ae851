"""Exports at a time: a person has two on a machine, so that nobody's files stall everybody.

What they take is the threads of this machine, so they are counted here, by locks on files that all
of its web processes see. The system lets go of a lock when its process dies, however it dies; no
row has to be written by a GET, and nothing has to be swept.
"""

from typing import Final

from portal.extensions import settings
from portal.lib.file_lock import FileLock
from portal.services.core.refusals import Refusal

MOST: Final = 2
FOLDER: Final = "exports"


class TooManyExports(Refusal):
    """The person's exports that are under way have to end first."""

    status = 429

    def __init__(self) -> None:
        super().__init__(
            f"You have {MOST} exports under way. Wait until one of them has ended, or stop it in "
            "your browser, then try again."
        )


def take_slot(user_id: int) -> FileLock:
    """A place for one more export of this person. Raises `TooManyExports`."""
    folder = settings().instance_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(MOST):
        if slot := FileLock.take(folder / f"{user_id}.{number}"):
            return slot
    raise TooManyExports
