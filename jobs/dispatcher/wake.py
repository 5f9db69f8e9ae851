"""How other threads end a dispatcher's waiting, and learn that it has looked since."""

import os
from contextlib import suppress
from threading import Condition


class Wake:
    """A file that the dispatcher waits for beside its sockets, and what was asked of it.

    `ask` and `wait` are for whoever has something sent, `notify` is for everybody; the rest is the
    dispatcher's.
    """

    def __init__(self) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._condition = Condition()
        self._asked = self._done = 0

    def __del__(self) -> None:
        # Not sooner: whoever still notifies would write into another's file of that number.
        os.close(self.fileno)

    def notify(self) -> None:
        """End the waiting."""
        os.eventfd_write(self.fileno, 1)

    def ask(self) -> int:
        """Have the dispatcher look, and rest when it finds nothing more. Returns what to `wait`
        for."""
        with self._condition:
            self._asked += 1
            number = self._asked
        self.notify()
        return number

    def wait(self, number: int, seconds: float = 0.0) -> bool:
        """Whether it rested, in time, after it had been asked that."""
        with self._condition:
            return self._condition.wait_for(lambda: self._done >= number, seconds)

    @property
    def asked(self) -> int:
        """The number of what was asked last."""
        return self._asked

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it to rest."""
        return self._asked > self._done

    def clear(self) -> None:
        """It was heard: wait again."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.fileno)

    def rest(self, number: int) -> None:
        """Nothing is left of what was due when that was asked."""
        if number > self._done:
            with self._condition:
                self._done = number
                self._condition.notify_all()
