"""Wake the senders after a commit, and enqueue the RQ job that delivers.

The database is the queue. Redis only wakes its readers, so a Save never fails or waits because of
Redis. If Redis doesn't respond, no sender is notified, and the log says so once. Each sender polls
the table twice a second anyway.

One `PUBLISH` wakes all senders. At most one `deliver_due` is queued per second, until the key that
blocks others expires. If the job deleted this key, a burst would queue almost as many jobs as
commits.
"""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

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
from portal.queue.connection import ANSWER_TIMEOUT, quick_client
from portal.queue.names import BACKGROUND, DELIVER_DUE, DELIVERIES, PROBE, RUN_TASKS, SEND_MAILS
from portal.queue.portal_job import PortalJob

log = logging.getLogger(__name__)

CHANNEL: Final = "deliveries:notify"
QUEUED: Final = "deliveries:queued"
QUEUED_SECONDS: Final = 1
TASKS_QUEUED: Final = "tasks:queued"
MAILS_QUEUED: Final = "mails:queued"
# The job deletes its key when it starts. The expiry is for a worker that was killed before that,
# and for a job that waits behind another one's 20 seconds.
QUEUED_ONCE_SECONDS: Final = 30
BACKOFF_SECONDS: Final = 5  # without commands after Redis didn't respond
JOB_SECONDS: Final = 600  # for which a finished job stays listed

_PENDING: Final = "notify after commit"
T = TypeVar("T")


class Notifier:
    """The notifier of one application. No method raises Redis errors or waits a full second.

    Connections are made on first use. After a failure, every method returns right away for
    `BACKOFF_SECONDS`.
    """

    def __init__(self, url: str) -> None:
        self._client = quick_client(url)
        self._backoff_until = 0.0
        self._is_failing = False

    def close(self) -> None:
        """Close the connections. The next command opens new ones."""
        self._client.close()

    def notify(self) -> None:
        """Make the senders poll."""
        self.ask(_publish_and_enqueue)

    def notify_tasks(self) -> None:
        """Enqueue `run_tasks` unless one is waiting."""
        self.ask(lambda redis: _enqueue_once(redis, RUN_TASKS, TASKS_QUEUED))

    def begin_tasks(self) -> None:
        """Let the next notification enqueue another `run_tasks`, because one has started."""
        self.ask(lambda redis: redis.delete(TASKS_QUEUED))

    def notify_mails(self) -> None:
        """Enqueue `send_mails` unless one is waiting."""
        self.ask(lambda redis: _enqueue_once(redis, SEND_MAILS, MAILS_QUEUED))

    def begin_mails(self) -> None:
        """Let the next notification enqueue another `send_mails`, because one has started."""
        self.ask(lambda redis: redis.delete(MAILS_QUEUED))

    def subscribe(self) -> PubSub | None:
        """Subscribe to notifications. Returns None if Redis doesn't respond."""
        return self.ask(_subscribe)

    def ask(self, question: Callable[[Redis], T]) -> T | None:
        """Return Redis's response to `question`, or None without one."""
        if monotonic() < self._backoff_until:
            return None
        try:
            if self._is_failing:  # a read-only Redis can't wake any process
                self._client.set(PROBE, 1, ex=1)
            answer = question(self._client)
        except RedisError as error:
            self._backoff_until = monotonic() + BACKOFF_SECONDS
            if not self._is_failing:
                log.warning(
                    "Redis wakes nobody (%s): deliveries start up to a second late until it does.",
                    error,
                )
            self._is_failing = True
            return None
        if self._is_failing:
            self._is_failing = False
            log.warning("Redis responds again.")
        return answer


def _publish_and_enqueue(redis: Redis) -> None:
    with redis.pipeline(transaction=False) as pipe:
        pipe.publish(CHANNEL, "")
        pipe.set(QUEUED, 1, nx=True, ex=QUEUED_SECONDS)
        # A Redis user without permission to publish still enqueues the job.
        _, is_first = pipe.execute(raise_on_error=False)
    if isinstance(is_first, Exception):
        raise is_first
    if is_first:
        # The timeout is a last resort because RQ interrupts the job with a signal at any point.
        _enqueue(redis, DELIVERIES, DELIVER_DUE, timeout=86_400, at_front=True)


def _enqueue_once(redis: Redis, job: str, key: str) -> None:
    if redis.set(key, 1, nx=True, ex=QUEUED_ONCE_SECONDS):
        _enqueue(redis, BACKGROUND, job, timeout=3600, at_front=False)


def _enqueue(redis: Redis, queue: str, job: str, *, timeout: int, at_front: bool) -> None:
    # One transaction takes one round trip. Without it, RQ needs two.
    with redis.pipeline() as pipe:
        Queue(queue, connection=redis, job_class=PortalJob).enqueue_call(
            job,
            timeout=timeout,
            result_ttl=JOB_SECONDS,
            failure_ttl=86_400,
            ttl=900,
            meta=request_id.as_meta(),
            at_front=at_front,
            pipeline=pipe,
        )
        pipe.execute()


def _subscribe(redis: Redis) -> PubSub | None:
    subscription: PubSub = redis.pubsub()  # type: ignore[no-untyped-call]  # it has no types
    subscription.subscribe(CHANNEL)
    if subscription.get_message(timeout=ANSWER_TIMEOUT) is None:  # not confirmed
        subscription.close()
        return None
    return subscription


def init_app(app: Flask) -> None:
    settings: Settings = app.extensions["settings"]
    app.extensions["notifier"] = Notifier(settings.redis_url)


def notifier() -> Notifier:
    """Return the current application's notifier."""
    current: Notifier = current_app.extensions["notifier"]
    return current


def notify() -> None:
    """Make the senders poll, for callers that have nothing to commit."""
    notifier().notify()


def notify_tasks() -> None:
    """Enqueue `run_tasks`, for callers that have nothing to commit."""
    notifier().notify_tasks()


def notify_mails() -> None:
    """Enqueue `send_mails`, for callers that have nothing to commit."""
    notifier().notify_mails()


def notify_after_commit(
    session: Session | scoped_session[Session], which: Callable[[], None] = notify
) -> None:
    """Call `which` once after the outermost transaction of `session` commits, else never."""
    session.info.setdefault(_PENDING, {})[which] = None  # a set that keeps its order


# All applications of a process share the session (tests create many), so we listen once, on import.
@event.listens_for(db.session, "after_commit")
def _notify_if_asked(session: Session) -> None:
    # Also called when a savepoint is released, with nothing committed yet.
    if not session.in_nested_transaction():
        for which in session.info.pop(_PENDING, ()):
            which()


@event.listens_for(db.session, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    # Entries that are left at the end of the outermost transaction were rolled back.
    if transaction.parent is None:
        session.info.pop(_PENDING, None)
