"""Whether this process was asked to stop. The pump reads it, the signal handler sets it."""

from jobs.turns import turns


class StopFlag:
    """A flag that a signal handler may set at any instant.

    Not a `threading.Event`: its lock may be held by the very code that the signal interrupted.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Ask for the stop."""
        self._is_set = True

    def clear(self) -> None:
        """Forget the request (tests run several pumps in one process)."""
        self._is_set = False

    def is_set(self) -> bool:
        """Whether the stop was asked for. Who asks again and again gets on."""
        turns.note()
        return self._is_set


stop = StopFlag()
