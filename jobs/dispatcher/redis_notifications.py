"""Wake a dispatcher by Redis notifications; without Redis it polls (jobs/dispatcher/loop.py)."""

import os
from collections import deque
from contextlib import suppress
from math import inf
from threading import Event
from time import monotonic
from typing import Any, Final

from redis.client import PubSub
from redis.exceptions import RedisError

from portal.engine.http.transport import Transport
from portal.queue.notifier import Notifier

TOGETHER: Final = 0.005  # many notifications within so many seconds are one
RETRY_EVERY: Final = 0.5  # without a subscription


class Notifications:
    """The notifications of one dispatcher, from `start` to `stop`. Without Redis there are none."""

    def __init__(self, notifier: Notifier, transport: Transport) -> None:
        self._notifier, self._transport = notifier, transport
        self._pubsub: PubSub | None = None
        self._socket: Any = None
        self._fileno = -1
        self._is_pending = False
        self._take_at = self._retry_at = 0.0

    def start(self) -> None:
        """Subscribe: a poll after this misses no notification."""
        self._retry_at = monotonic() + RETRY_EVERY
        self._pubsub = self._notifier.subscribe()
        if self._pubsub is not None:
            self._socket = _socket_of(self._pubsub)
            self._fileno = self._socket.fileno()  # it has none once it is closed
            self._transport.watch(self._fileno)

    def stop(self) -> None:
        """Unsubscribe."""
        if self._pubsub is not None:
            self._transport.unwatch(self._fileno)
            with suppress(RedisError, OSError):
                self._pubsub.close()
        self._pubsub = None

    def receive(self) -> None:
        """Read the notifications, so that the socket is no longer readable; subscribe again where
        the subscription was lost."""
        if self._pubsub is None:
            if monotonic() >= self._retry_at:
                self.start()
                self._is_pending = self._pubsub is not None  # for what was missed
        elif self._transport.is_readable(self._fileno):
            self._is_pending = True
            if not self._read(self._pubsub):
                self.stop()

    def take(self) -> bool:
        """Return whether there was a notification since this was asked last."""
        now = monotonic()
        if not self._is_pending or now < self._take_at:
            return False
        self._is_pending, self._take_at = False, now + TOGETHER
        return True

    @property
    def patience(self) -> float:
        """Seconds until there is something to `take`, or to be tried again; infinite while the
        socket tells."""
        if self._is_pending:
            return max(0.0, self._take_at - monotonic())
        return max(0.0, self._retry_at - monotonic()) if self._pubsub is None else inf

    def _read(self, pubsub: PubSub) -> bool:
        """Return whether the subscription still stands."""
        try:
            while pubsub.get_message() is not None:
                pass
        except (RedisError, OSError):
            return False
        # The library reconnects by itself, over a socket that is not watched.
        return _socket_of(pubsub) is self._socket


def _socket_of(pubsub: PubSub) -> Any:
    return getattr(pubsub.connection, "_sock", None)  # the library keeps it to itself


class Wake:
    """A file that the dispatcher waits for beside its sockets, and requests to poll."""

    def __init__(self) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._requests, self._read = deque[Event](), deque[Event]()

    def __del__(self) -> None:
        # Not sooner: a late `wake` would write to another file that got the same number.
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
