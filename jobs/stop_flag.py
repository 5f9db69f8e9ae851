"""The flag that this process was asked to stop: set by a signal handler, read by who works."""

import os
import select
from contextlib import suppress

from jobs.progress import progress


class StopFlag:
    """A flag that a signal handler may set at any instant.

    Not a `threading.Event`: its lock may be held by the very code that the signal interrupted.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._sign = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def set(self) -> None:
        """Ask for the stop."""
        self._is_set = True
        os.eventfd_write(self._sign, 1)

    def fileno(self) -> int:
        """A file to wait for beside others: it can be read once the stop was asked for."""
        return self._sign

    def clear(self) -> None:
        """Forget the request (tests run several dispatchers in one process)."""
        self._is_set = False
        with suppress(BlockingIOError):
            os.eventfd_read(self._sign)

    def is_set(self) -> bool:
        """Return whether the stop was asked for. Who asks again and again makes progress."""
        progress.note()
        return self._is_set

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for so many seconds, or for ever. Returns whether the stop was asked for."""
        select.select([self._sign], [], [], seconds)
        return self._is_set


stop = StopFlag()
