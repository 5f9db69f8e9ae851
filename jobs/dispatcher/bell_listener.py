"""How a dispatcher hears of new work: by a subscription to the bell, whose socket is one more that
it waits for; without one by asking again and again."""

from math import inf
from time import monotonic
from typing import Final

from portal.engine.http.transport import Transport
from portal.queue.bell import Bell, BellWatch

BELL_EVERY: Final = 0.005  # many rings within so many seconds are one
ASK_EVERY: Final = 0.05  # without a subscription
AWAKE_EVERY: Final = 0.5


class BellListener:
    """The listening of one dispatcher, from `begin` to `end`."""

    def __init__(self, bell: Bell, transport: Transport) -> None:
        self._bell, self._transport = bell, transport
        self._watch: BellWatch | None = None
        self._rung: int | None = None
        self._ask_at = self._awake_at = 0.0
        self._has_rung = self._is_awake = False

    def begin(self) -> None:
        """From here on no ring is missed: look at the table after it."""
        self._subscribe()
        self._rung = self._bell.count()

    def patience(self, *, is_awake: bool) -> float:
        """Seconds for which the dispatcher may wait for sockets, as far as the bell is concerned.

        `is_awake`: whether it will stay awake. Who will not has nothing to say in time.
        """
        until = self._awake_at if is_awake and self._is_awake else inf
        if self._has_rung or (self._watch is None and self._bell.answers):
            until = min(until, self._ask_at)
        return max(0.0, until - monotonic())

    def note(self) -> None:
        """The transport was driven: it may have been woken. What was said is read at once, or it
        would be woken again and again."""
        if self._watch is None or not self._transport.has_rung(self._watch.fileno):
            return
        if (rang := self._watch.has_rung()) is None:
            self.end()
        self._has_rung = self._has_rung or rang is not False

    def stay_awake(self) -> None:
        """There are free places: whoever rings need not queue another dispatcher."""
        now = monotonic()
        if self._is_awake and now < self._awake_at:
            return
        self._is_awake, self._awake_at = True, now + AWAKE_EVERY
        self._bell.stay_awake()
        if self._watch is None and self._subscribe():
            self._has_rung = True  # for what was rung meanwhile

    def has_rung(self) -> bool:
        """Whether it rang since this was asked last."""
        now = monotonic()
        if now < self._ask_at or (self._watch is not None and not self._has_rung):
            return False
        self._ask_at = now + (BELL_EVERY if self._watch else ASK_EVERY)
        if self._watch is None:
            before, self._rung = self._rung, self._bell.count()
            self._has_rung = self._has_rung or before != self._rung
        rang, self._has_rung = self._has_rung, False
        return rang

    def fall_asleep(self) -> None:
        """Whoever rings from now on queues a new dispatcher."""
        self._bell.fall_asleep()
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
        self._watch = self._bell.watch()
        if self._watch is not None:
            self._transport.watch(self._watch.fileno)
        return self._watch is not None
