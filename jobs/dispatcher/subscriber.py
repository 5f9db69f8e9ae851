"""Learn of new work by a subscription, whose socket is one more that a dispatcher waits for;
without one by asking Redis again and again."""

from math import inf
from time import monotonic
from typing import Final

from portal.engine.http.transport import Transport
from portal.queue.notifier import Notifier, Subscription

NOTIFY_EVERY: Final = 0.005  # many notifications within so many seconds are one
ASK_EVERY: Final = 0.05  # without a subscription
AWAKE_EVERY: Final = 0.5


class Subscriber:
    """The listening of one dispatcher, from `begin` to `end`."""

    def __init__(self, notifier: Notifier, transport: Transport) -> None:
        self._notifier, self._transport = notifier, transport
        self._watch: Subscription | None = None
        self._notified: int | None = None
        self._ask_at = self._awake_at = 0.0
        self._was_notified = self._is_awake = False

    def begin(self) -> None:
        """From here on no notification is missed: look at the table after it."""
        self._subscribe()
        self._notified = self._notifier.count()

    def patience(self, *, is_awake: bool) -> float:
        """Seconds for which the dispatcher may wait for sockets, as far as notifications are
        concerned.

        `is_awake`: whether it will stay awake. Who will not has nothing to say in time.
        """
        until = self._awake_at if is_awake and self._is_awake else inf
        if self._was_notified or (self._watch is None and self._notifier.answers):
            until = min(until, self._ask_at)
        return max(0.0, until - monotonic())

    def note(self) -> None:
        """The transport was driven: it may have been woken. What was said is read at once, or it
        would be woken again and again."""
        if self._watch is None or not self._transport.is_readable(self._watch.fileno):
            return
        if (was_notified := self._watch.was_notified()) is None:
            self.end()
        self._was_notified = self._was_notified or was_notified is not False

    def stay_awake(self) -> None:
        """There are free places: whoever notifies need not queue another dispatcher."""
        now = monotonic()
        if self._is_awake and now < self._awake_at:
            return
        self._is_awake, self._awake_at = True, now + AWAKE_EVERY
        self._notifier.stay_awake()
        if self._watch is None and self._subscribe():
            self._was_notified = True  # for what was notified meanwhile

    def was_notified(self) -> bool:
        """Return whether one came since this was asked last."""
        now = monotonic()
        if now < self._ask_at or (self._watch is not None and not self._was_notified):
            return False
        self._ask_at = now + (NOTIFY_EVERY if self._watch else ASK_EVERY)
        if self._watch is None:
            before, self._notified = self._notified, self._notifier.count()
            self._was_notified = self._was_notified or before != self._notified
        was_notified, self._was_notified = self._was_notified, False
        return was_notified

    def fall_asleep(self) -> None:
        """whoever notifies from now on queues a new dispatcher."""
        self._notifier.fall_asleep()
        self._is_awake = False

    @property
    def is_awake(self) -> bool:
        """Whether it may still say that it listens, though it has stopped."""
        return self._is_awake

    def end(self) -> None:
        """Hear nothing any more by the subscription."""
        if self._watch is not None:
            self._transport.unwatch(self._watch.fileno)
            self._watch.close()
        self._watch = None

    def _subscribe(self) -> bool:
        self._watch = self._notifier.watch()
        if self._watch is not None:
            self._transport.watch(self._watch.fileno)
        return self._watch is not None
