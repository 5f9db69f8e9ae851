"""Wake the senders after a commit, and queue the RQ job that delivers.

The database is the queue; Redis only wakes whoever reads it. So nothing here may fail a Save or
make it wait: when Redis does not answer, nobody is notified, and a line in the log says so once.
Each sender polls the table twice a second anyhow.

One `PUBLISH` wakes all senders. At most one `deliver_due` is queued a second: the key that keeps
others back expires by itself. Were it deleted by the job, a burst would queue nearly as many jobs
as there are commits.
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
# The job deletes its own when it starts: this is for a worker that was killed before, and for a job
# that waits behind the 20 seconds of another.
QUEUED_ONCE_SECONDS: Final = 30
BACKOFF_SECONDS: Final = 5  # how long a Redis that did not answer is not asked again
JOB_SECONDS: Final = 600  # how long a job that ended is listed as finished

_PENDING: Final = "notify after commit"
T = TypeVar("T")


class Notifier:
    """The notifier of one application. No method raises because of Redis, nor waits a second for
    it.

    Connections are made at first use. After a failure every method returns at once for
    `BACKOFF_SECONDS`.
    """

    def __init__(self, url: str) -> None:
        self._client = quick_client(url)
        self._backoff_until = 0.0
        self._is_failing = False

    def close(self) -> None:
        """Close the connections; the next question makes new ones."""
        self._client.close()

    def notify(self) -> None:
        """Have the senders poll after this moment."""
        self.ask(_publish_and_enqueue)

    def notify_tasks(self) -> None:
        """Have a `run_tasks` queued, unless one is waiting."""
        self.ask(lambda redis: _enqueue_once(redis, RUN_TASKS, TASKS_QUEUED))

    def begin_tasks(self) -> None:
        """A `run_tasks` has started: the next notification may queue another one."""
        self.ask(lambda redis: redis.delete(TASKS_QUEUED))

    def notify_mails(self) -> None:
        """Have a `send_mails` queued, unless one is waiting."""
        self.ask(lambda redis: _enqueue_once(redis, SEND_MAILS, MAILS_QUEUED))

    def begin_mails(self) -> None:
        """A `send_mails` has started: the next notification may queue another one."""
        self.ask(lambda redis: redis.delete(MAILS_QUEUED))

    def subscribe(self) -> PubSub | None:
        """Receive each notification from now on. None when Redis does not answer."""
        return self.ask(_subscribe)

    def ask(self, question: Callable[[Redis], T]) -> T | None:
        """The answer of Redis to `question`, or None without one."""
        if monotonic() < self._backoff_until:
            return None
        try:
            if self._is_failing:  # one that can only be read wakes nobody
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
            log.warning("Redis answers again.")
        return answer


def _publish_and_enqueue(redis: Redis) -> None:
    with redis.pipeline(transaction=False) as pipe:
        pipe.publish(CHANNEL, "")
        pipe.set(QUEUED, 1, nx=True, ex=QUEUED_SECONDS)
        # Whoever may not publish queues the job all the same.
        _, is_first = pipe.execute(raise_on_error=False)
    if isinstance(is_first, Exception):
        raise is_first
    if is_first:
        # The timeout is a fuse: RQ's is a signal in the middle of whatever runs.
        _enqueue(redis, DELIVERIES, DELIVER_DUE, timeout=86_400, at_front=True)


def _enqueue_once(redis: Redis, job: str, key: str) -> None:
    if redis.set(key, 1, nx=True, ex=QUEUED_ONCE_SECONDS):
        _enqueue(redis, BACKGROUND, job, timeout=3600, at_front=False)


def _enqueue(redis: Redis, queue: str, job: str, *, timeout: int, at_front: bool) -> None:
    # One transaction, and one way there and back: without it RQ needs two.
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
    if subscription.get_message(timeout=ANSWER_TIMEOUT) is None:  # it was not confirmed
        subscription.close()
        return None
    return subscription


def init_app(app: Flask) -> None:
    """Give `app` its notifier."""
    settings: Settings = app.extensions["settings"]
    app.extensions["notifier"] = Notifier(settings.redis_url)


def notifier() -> Notifier:
    """The notifier of the current application."""
    current: Notifier = current_app.extensions["notifier"]
    return current


def notify() -> None:
    """Have the senders poll; for those who have nothing to commit."""
    notifier().notify()


def notify_tasks() -> None:
    """Have a `run_tasks` queued; for those who have nothing to commit."""
    notifier().notify_tasks()


def notify_mails() -> None:
    """Have a `send_mails` queued; for those who have nothing to commit."""
    notifier().notify_mails()


def notify_after_commit(
    session: Session | scoped_session[Session], which: Callable[[], None] = notify
) -> None:
    """Call `which` once when the outermost transaction of `session` commits; never if it does
    not."""
    session.info.setdefault(_PENDING, {})[which] = None  # each once, in this order


# The session is shared by all applications of a process (tests make many): who listens to it does
# so from the import on, once.
@event.listens_for(db.session, "after_commit")
def _notify_if_asked(session: Session) -> None:
    # Also called when a savepoint is released: then nothing is committed yet.
    if not session.in_nested_transaction():
        for which in session.info.pop(_PENDING, ()):
            which()


@event.listens_for(db.session, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    # Whatever has not been notified when the outermost transaction ends was rolled back.
    if transaction.parent is None:
        session.info.pop(_PENDING, None)
