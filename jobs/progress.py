"""The progress of a thread that works: its process has no heartbeat once it hangs."""

from threading import get_ident
from time import monotonic
from typing import Final

STUCK_AFTER: Final = (
    90.0  # seconds; the longest step of a job, a mail server's conversation, is less
)


class Progress:
    """Marks of one thread while it works; between two pieces of work it waits, which is well.

    Other threads read them: each is one assignment.
    """

    def __init__(self) -> None:
        self._at: float | None = None
        self._thread = 0

    @property
    def last(self) -> float | None:
        """The time of its last mark, by the monotonic clock; None while it has nothing to do."""
        return self._at

    def begin(self) -> None:
        """The calling thread begins."""
        self._thread = get_ident()
        self._at = monotonic()

    def note(self) -> None:
        """A loop inside of the work has come round again. Of other threads it says nothing."""
        if self._at is not None and get_ident() == self._thread:
            self._at = monotonic()

    def end(self) -> None:
        """The work has ended."""
        self._at = None

    def is_going_on(self) -> bool:
        """Return whether it makes progress, or has nothing to do."""
        at = self._at
        return at is None or monotonic() - at < STUCK_AFTER


progress: Final = Progress()
"""Those of the main thread, in which jobs run."""
