"""File locks that the system releases whenever their process ends, even after a crash."""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self


class FileLock:
    """A file that is locked until `release` or the end of this process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path, *, makes: bool = True) -> Self | None:
        """Lock the file, and create it if missing. Returns None if another process has the lock.

        Raises FileNotFoundError for a missing file if `makes` is false, and OSError as `open` does.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if makes else 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    @classmethod
    def take_any(cls, folder: Path, names: Iterable[str]) -> Self | None:
        """Lock the first free one of these files. Returns None if none is free."""
        folder.mkdir(mode=0o700, exist_ok=True)
        locks = (cls.take(folder / name) for name in names)
        return next((lock for lock in locks if lock), None)

    def release(self) -> None:
        """Release the lock. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()
