"""End a dispatcher's waiting from another thread."""

import os
from collections import deque
from contextlib import suppress
from threading import Event


class Wake:
    """A file that the dispatcher waits for beside its sockets, and requests to poll."""

    def __init__(self) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._requests, self._read = deque[Event](), deque[Event]()

    def __del__(self) -> None:
        # Not sooner: whoever still writes would write into another's file of that number.
        os.close(self.fileno)

    def wake(self) -> None:
        """End the waiting."""
        os.eventfd_write(self.fileno, 1)

    def poll(self, seconds: float) -> bool:
        """Have the dispatcher poll now. Returns whether it has, within so many seconds."""
        request = Event()
        self._requests.append(request)
        self.wake()
        return request.wait(seconds)

    def read(self) -> bool:
        """Wait again. Returns whether a poll was asked for since this was read last."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.fileno)
        before = len(self._read)
        while self._requests:
            self._read.append(self._requests.popleft())
        return len(self._read) > before

    def polled(self) -> None:
        """A poll was answered: so are the requests that were read before it."""
        while self._read:
            self._read.popleft().set()
