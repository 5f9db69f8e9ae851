"""Exports at a time: a person has two on a machine, so that nobody's files stall everybody.

What they take is the threads of this machine, so they are counted here, by locks on files that all
of its web processes see. The system lets go of a lock when its process dies, however it dies; no
row has to be written by a GET, and nothing has to be swept.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from portal.extensions import settings
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


class ExportSlot:
    """One of a person's places, until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Free the place; once more does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()


def take_slot(user_id: int) -> ExportSlot:
    """A place for one more export of this person. Raises `TooManyExports`."""
    folder = settings().instance_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(MOST):
        if slot := _locked(folder / f"{user_id}.{number}"):
            return slot
    raise TooManyExports


def _locked(path: Path) -> ExportSlot | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return ExportSlot(descriptor)
