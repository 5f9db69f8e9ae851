"""Whether the main thread of a worker still gets on: its beats say nothing once it hangs."""

from time import monotonic
from typing import Final

STUCK_AFTER: Final = (
    90.0  # seconds; the longest step of a job, a mail server's conversation, is less
)


class Turns:
    """Marks of the main thread while it runs a job; between jobs it waits for one, which is well.

    A thread reads them: each is one assignment.
    """

    def __init__(self) -> None:
        self._at: float | None = None

    def begin(self) -> None:
        """A job begins."""
        self._at = monotonic()

    def note(self) -> None:
        """A loop inside of the job has come round again."""
        if self._at is not None:
            self._at = monotonic()

    def end(self) -> None:
        """The job has ended."""
        self._at = None

    def are_taken(self) -> bool:
        """Whether it gets on."""
        at = self._at
        return at is None or monotonic() - at < STUCK_AFTER


turns: Final = Turns()
