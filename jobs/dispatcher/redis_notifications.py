"""Wake a dispatcher by Redis notifications. Without Redis it polls (jobs/dispatcher/loop.py)."""

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

TOGETHER: Final = 0.005  # seconds within which many notifications count as one
RETRY_EVERY: Final = 0.5  # seconds between attempts to subscribe


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
        """Subscribe. A poll after this misses no notification."""
        self._retry_at = monotonic() + RETRY_EVERY
        self._pubsub = self._notifier.subscribe()
        if self._pubsub is not None:
            self._socket = _socket_of(self._pubsub)
            self._fileno = self._socket.fileno()  # a closed socket has none
            self._transport.watch(self._fileno)

    def stop(self) -> None:
        """Unsubscribe."""
        if self._pubsub is not None:
            self._transport.unwatch(self._fileno)
            with suppress(RedisError, OSError):
                self._pubsub.close()
        self._pubsub = None

    def receive(self) -> None:
        """Read all notifications, so that the socket is no longer readable. Resubscribe after a
        lost subscription."""
        if self._pubsub is None:
            if monotonic() >= self._retry_at:
                self.start()
                self._is_pending = self._pubsub is not None  # some may have been missed
        elif self._transport.is_readable(self._fileno):
            self._is_pending = True
            if not self._read(self._pubsub):
                self.stop()

    def take(self) -> bool:
        """Return whether a notification has arrived since the last call."""
        now = monotonic()
        if not self._is_pending or now < self._take_at:
            return False
        self._is_pending, self._take_at = False, now + TOGETHER
        return True

    @property
    def patience(self) -> float:
        """Return the seconds until `take` or the next attempt to subscribe, or infinity while
        subscribed."""
        if self._is_pending:
            return max(0.0, self._take_at - monotonic())
        return max(0.0, self._retry_at - monotonic()) if self._pubsub is None else inf

    def _read(self, pubsub: PubSub) -> bool:
        """Return whether the subscription is still intact."""
        try:
            while pubsub.get_message() is not None:
                pass
        except (RedisError, OSError):
            return False
        # redis-py reconnects by itself, with a socket that is not watched.
        return _socket_of(pubsub) is self._socket


def _socket_of(pubsub: PubSub) -> Any:
    return getattr(pubsub.connection, "_sock", None)  # redis-py has no public attribute


class Wake:
    """An eventfd that wakes the dispatcher, and requests for it to poll."""

    def __init__(self) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._requests, self._read = deque[Event](), deque[Event]()

    def __del__(self) -> None:
        # If it were closed sooner, a late `wake` would write to another file with the same number.
        os.close(self.fileno)

    def wake(self) -> None:
        """Wake the dispatcher."""
        os.eventfd_write(self.fileno, 1)

    def poll(self, seconds: float) -> bool:
        """Request a poll and return whether it happened within `seconds`."""
        request = Event()
        self._requests.append(request)
        self.wake()
        return request.wait(seconds)

    def read(self) -> bool:
        """Reset the eventfd and return whether a poll was requested since the last call."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.fileno)
        before = len(self._read)
        while self._requests:
            self._read.append(self._requests.popleft())
        return len(self._read) > before

    def polled(self) -> None:
        """Answer the requests that were read before the poll."""
        while self._read:
            self._read.popleft().set()
