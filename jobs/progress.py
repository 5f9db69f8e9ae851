"""The progress of a working thread. Its process sends no heartbeat once the thread hangs."""

from threading import get_ident
from time import monotonic
from typing import Final

STUCK_AFTER: Final = 90.0  # seconds, more than a job's longest step, an exchange with a mail server


class Progress:
    """Progress marks of one thread. A thread that waits for work is well, too.

    Other threads read the marks, so each is set by a single assignment.
    """

    def __init__(self) -> None:
        self._at: float | None = None
        self._thread = 0

    @property
    def last(self) -> float | None:
        """Return the monotonic time of the last mark, or None while idle."""
        return self._at

    def begin(self) -> None:
        """Start work in the calling thread."""
        self._thread = get_ident()
        self._at = monotonic()

    def note(self) -> None:
        """Mark progress. Calls from other threads have no effect."""
        if self._at is not None and get_ident() == self._thread:
            self._at = monotonic()

    def end(self) -> None:
        """Mark the thread as idle."""
        self._at = None

    def is_going_on(self) -> bool:
        """Return whether the thread makes progress or is idle."""
        at = self._at
        return at is None or monotonic() - at < STUCK_AFTER


progress: Final = Progress()
"""Progress of the main thread, in which jobs run."""
