"""A pump's subscription to the bell: its socket is one more among those that the pump waits for."""

from contextlib import suppress
from typing import Any

from redis import Redis
from redis.client import PubSub
from redis.exceptions import RedisError

from portal.queue.clients import ANSWER_TIMEOUT


class BellWatch:
    """Hears each ring from the moment it was made. `fileno`: what to wait for, by poll."""

    def __init__(self, subscription: PubSub) -> None:
        self._subscription = subscription
        self._socket = _socket_of(subscription)
        self.fileno: int = self._socket.fileno()

    def has_rung(self) -> bool | None:
        """Whether it rang since this was asked last. None: the subscription is lost."""
        rang = False
        try:
            while self._subscription.get_message() is not None:
                rang = True
        except (RedisError, OSError):
            return None
        # The library connects anew by itself, and then nobody waits for the socket it has now.
        return rang if _socket_of(self._subscription) is self._socket else None

    def close(self) -> None:
        """Hear nothing any more."""
        with suppress(RedisError, OSError):
            self._subscription.close()


def watch(redis: Redis, channel: str) -> BellWatch | None:
    """Subscribe. None where that is not to be had: the bell is asked again and again then.

    Raises `RedisError`.
    """
    subscription: PubSub = redis.pubsub()  # type: ignore[no-untyped-call]  # it has no types
    subscription.subscribe(channel)
    confirmed = subscription.get_message(timeout=ANSWER_TIMEOUT)
    if confirmed is None or _socket_of(subscription) is None:
        subscription.close()
        return None
    return BellWatch(subscription)


def _socket_of(subscription: PubSub) -> Any:
    return getattr(subscription.connection, "_sock", None)  # the library keeps it to itself
