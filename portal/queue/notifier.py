"""Notify: the workers, after a commit, that something is due.

The database is the queue; Redis only wakes whoever reads it. So nothing here may fail a Save: when
Redis does not answer, nobody is notified, and says so once in the log. Each sender looks at the
table twice a second anyhow.

Two keys keep a burst from leaving a trail of empty jobs without losing a wake-up:
`deliveries:awake` exists while a dispatcher is looking at `deliveries:notify`, and
`deliveries:queued` while a `deliver_due` waits to be picked up.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar

from flask import Flask, current_app
from redis import Redis
from redis.client import PubSub
from redis.exceptions import RedisError
from rq import Queue
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from portal.config.settings import Settings
from portal.extensions import db
from portal.lib import request_id
from portal.queue.names import DELIVER_DUE, DELIVERIES, PROBE, SWEEP_ID
from portal.queue.portal_job import PortalJob
from portal.queue.redis_state import ANSWER_TIMEOUT, quick_client


class Subscription:
    """Hears each notification from the moment it was made. `fileno`: what to wait for, by poll."""

    def __init__(self, subscription: PubSub) -> None:
        self._subscription = subscription
        self._socket = _socket_of(subscription)
        self.fileno: int = self._socket.fileno()

    def was_notified(self) -> bool | None:
        """Return whether one came since this was asked last. None: the subscription is lost."""
        was_notified = False
        try:
            while self._subscription.get_message() is not None:
                was_notified = True
        except (RedisError, OSError):
            return None
        # The library connects anew by itself, and then nobody waits for the socket it has now.
        return was_notified if _socket_of(self._subscription) is self._socket else None

    def close(self) -> None:
        """Hear nothing any more."""
        with suppress(RedisError, OSError):
            self._subscription.close()


def watch(redis: Redis, channel: str) -> Subscription | None:
    """Subscribe. None where that is not to be had: the count is asked for again and again then.

    Raises `RedisError`.
    """
    subscription: PubSub = redis.pubsub()  # type: ignore[no-untyped-call]  # it has no types
    subscription.subscribe(channel)
    confirmed = subscription.get_message(timeout=ANSWER_TIMEOUT)
    if confirmed is None or _socket_of(subscription) is None:
        subscription.close()
        return None
    return Subscription(subscription)


def _socket_of(subscription: PubSub) -> Any:
    return getattr(subscription.connection, "_sock", None)  # the library keeps it to itself


log = logging.getLogger(__name__)

CHANNEL: Final = "deliveries:notify"
AWAKE: Final = "deliveries:awake"
QUEUED: Final = "deliveries:queued"

QUEUED_SECONDS: Final = (
    5  # a worker killed between pop and start keeps the notifier silent this long
)
AWAKE_SECONDS: Final = 2
QUIET_SECONDS: Final = 5  # how long a Redis that did not answer is left alone

# In one step, or a dispatcher that falls asleep between the two keys would leave the latch set and
# nobody coming. Returns 1 when a job has to be queued. Who may not publish notifies all the same.
NOTIFY_SCRIPT: Final = """
redis.call('INCR', KEYS[1])
redis.pcall('PUBLISH', KEYS[1], '')
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if redis.call('SET', KEYS[3], 1, 'NX', 'EX', ARGV[1]) then return 1 end
return 0
"""

_PENDING: Final = "rings_after_commit"
T = TypeVar("T")


class Notifier:
    """The notifier of one application. No method raises because of Redis, nor waits a second for
    it.

    Connections are made at first use. After a failure Redis is left alone for `QUIET_SECONDS`;
    meanwhile every method returns at once.
    """

    def __init__(self, url: str) -> None:
        client = quick_client(url)
        self._client = client
        self._notify = client.register_script(NOTIFY_SCRIPT)
        self._queue = Queue(DELIVERIES, connection=client, job_class=PortalJob)
        self._silent_until = 0.0
        self._is_silent = False

    def close(self) -> None:
        """Let the connections go; whatever asks next makes new ones."""
        self._client.close()

    def notify(self) -> None:
        """Make sure that a dispatcher looks at the table after this moment."""
        self.ask(self._publish_or_enqueue)

    def answer(self) -> None:
        """`deliver_due` has started: the next notification may queue another one."""
        self.ask(lambda redis: redis.delete(QUEUED))

    def count(self) -> int | None:
        """How often it has notified. None when Redis does not answer."""
        return self.ask(lambda redis: int(redis.get(CHANNEL) or 0))

    def watch(self) -> Subscription | None:
        """Be told of each notification instead of asking. None when Redis does not answer."""
        return self.ask(lambda redis: watch(redis, CHANNEL))

    def stay_awake(self) -> None:
        """A dispatcher with free places is subscribed for the next `AWAKE_SECONDS`."""
        self.ask(lambda redis: redis.set(AWAKE, 1, ex=AWAKE_SECONDS))

    def fall_asleep(self) -> None:
        """A dispatcher stops watching. Its last look at the table comes after this."""
        self.ask(lambda redis: redis.delete(AWAKE))

    def requeue(self) -> None:
        """A full dispatcher stops watching and calls for another one, under the same latch."""
        self.ask(self._hand_over)

    def drop_queued_sweeps(self) -> None:
        """A running dispatcher is the sweep: those that queued up behind it would find nothing to
        do."""
        self.ask(lambda redis: redis.lrem(self._queue.key, 0, SWEEP_ID))

    @property
    def answers(self) -> bool:
        """Whether Redis is asked at all at the moment."""
        return monotonic() >= self._silent_until

    def ask(self, question: Callable[[Redis], T]) -> T | None:
        """What `question` finds out from Redis, or None when Redis does not answer."""
        if not self.answers:
            return None
        try:
            if self._is_silent:  # one that can only be read wakes nobody
                self._client.set(PROBE, 1, ex=1)
            answer = question(self._client)
        except RedisError as error:
            self._fall_silent(error)
            return None
        if self._is_silent:
            self._is_silent = False
            log.warning("Redis answers again.")
        return answer

    def _publish_or_enqueue(self, _redis: Redis) -> None:
        if self._notify(keys=[CHANNEL, AWAKE, QUEUED], args=[QUEUED_SECONDS]):
            self._enqueue()

    def _hand_over(self, redis: Redis) -> None:
        with redis.pipeline() as pipe:
            pipe.delete(AWAKE)
            pipe.set(QUEUED, 1, nx=True, ex=QUEUED_SECONDS)
            _, is_ours = pipe.execute()
        if is_ours:
            self._enqueue()

    def _enqueue(self) -> None:
        # One transaction, and one way there and back: without it RQ needs two.
        with self._client.pipeline() as pipe:
            self._queue.enqueue_call(
                DELIVER_DUE,
                timeout=86_400,  # a fuse: RQ's timeout is a signal in the middle of whatever runs
                result_ttl=0,
                failure_ttl=86_400,
                ttl=900,
                meta=request_id.as_meta(),
                at_front=True,
                pipeline=pipe,
            )
            pipe.execute()

    def _fall_silent(self, error: RedisError) -> None:
        self._silent_until = monotonic() + QUIET_SECONDS
        if not self._is_silent:
            self._is_silent = True
            log.warning(
                "Redis wakes nobody (%s): deliveries start up to a second late until it does.",
                error,
            )


def init_app(app: Flask) -> None:
    """Give `app` its notifier, which notifies by itself after a commit that asked for it."""
    settings: Settings = app.extensions["settings"]
    app.extensions["notifier"] = Notifier(settings.redis_url)


def notifier() -> Notifier:
    """The notifier of the current application."""
    found: Notifier = current_app.extensions["notifier"]
    return found


def notify() -> None:
    """Ring now; for those who have nothing to commit, such as the sweep."""
    notifier().notify()


def notify_after_commit(
    session: Session | scoped_session[Session], which: Callable[[], None] = notify
) -> None:
    """Ring once when the outermost transaction of `session` commits; never if it does not.

    `which`: another notifier than the deliveries' (`portal.queue.task_notifier`).
    """
    session.info.setdefault(_PENDING, {})[which] = None  # each once, in this order


# The session is shared by all applications of a process (tests make many): who listens to it does
# so from the import on, once.
@event.listens_for(db.session, "after_commit")
def _notify_if_asked(session: Session) -> None:
    # Also called when a savepoint is released: then nothing is committed yet.
    if not session.in_nested_transaction():
        for notified in session.info.pop(_PENDING, ()):
            notified()


@event.listens_for(db.session, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    # Whatever has not been notified when the outermost transaction ends was rolled back.
    if transaction.parent is None:
        session.info.pop(_PENDING, None)
