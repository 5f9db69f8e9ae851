"""The stop flag of this process, set by a signal handler and read by working threads."""

import os
import select
from contextlib import suppress

from jobs.progress import progress


class StopFlag:
    """A flag that a signal handler can set at any time.

    Not a `threading.Event`, because the interrupted code may hold its lock.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._sign = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def set(self) -> None:
        """Request the stop."""
        self._is_set = True
        os.eventfd_write(self._sign, 1)

    def fileno(self) -> int:
        """Return a file descriptor to wait for, which becomes readable once a stop is requested."""
        return self._sign

    def clear(self) -> None:
        """Forget the request (tests run several dispatchers in one process)."""
        self._is_set = False
        with suppress(BlockingIOError):
            os.eventfd_read(self._sign)

    def is_set(self) -> bool:
        """Return whether a stop is requested. Each call also counts as progress."""
        progress.note()
        return self._is_set

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for `seconds`, or forever, and return whether a stop is requested."""
        select.select([self._sign], [], [], seconds)
        return self._is_set


stop = StopFlag()
