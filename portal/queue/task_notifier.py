"""The notifier of long work: makes sure that a `run_tasks` is queued while a task is due.

Like the deliveries' notifier it only saves waiting: the sweep notifies again for what is still due.
"""

from typing import Final

from redis import Redis
from rq import Queue
from sqlalchemy.orm import Session, scoped_session

from portal.lib import request_id
from portal.queue import notifier
from portal.queue.names import BACKGROUND, RUN_TASKS
from portal.queue.portal_job import PortalJob

QUEUED: Final = "tasks:queued"
# A worker killed between pop and start keeps the notifier silent this long; a job may also wait
# that long behind the 20 seconds of another.
QUEUED_SECONDS: Final = 30


def notify() -> None:
    """Make sure that somebody looks for due tasks after this moment."""
    notifier.notifier().ask(enqueue)


def notify_after_commit(session: Session | scoped_session[Session]) -> None:
    """Ring once when the outermost transaction of `session` commits; never if it does not."""
    notifier.notify_after_commit(session, notify)


def answer() -> None:
    """`run_tasks` has started: the next notification may queue another one."""
    notifier.notifier().ask(lambda redis: redis.delete(QUEUED))


def enqueue(redis: Redis) -> None:
    """Queue a `run_tasks` unless one is waiting. For `Notifier.ask`, which outlives a Redis in
    need."""
    if not redis.set(QUEUED, 1, nx=True, ex=QUEUED_SECONDS):
        return
    with redis.pipeline() as pipe:
        Queue(BACKGROUND, connection=redis, job_class=PortalJob).enqueue_call(
            RUN_TASKS,
            timeout=3600,  # a fuse: the job ends by itself within half a minute
            result_ttl=0,
            failure_ttl=86_400,
            ttl=900,
            meta=request_id.as_meta(),
            pipeline=pipe,
        )
        pipe.execute()
