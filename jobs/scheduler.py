"""The scheduler process, in which rq-scheduler checks for due jobs once a second."""

import logging
import signal
import time
from contextlib import suppress
from time import monotonic
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from rq_scheduler import Scheduler

from jobs.context import application
from jobs.heartbeat import DEREGISTER_SECONDS, Heartbeat
from portal import gc_freeze
from portal.config.settings import Settings
from portal.queue.connection import patient_client
from portal.queue.portal_job import PortalJob
from portal.queue.schedule import reconcile, table
from portal.services.core import heartbeats

log = logging.getLogger(__name__)

# After this long without a check it is stuck and sends no heartbeat.
STUCK_AFTER: Final = 30.0


class RepairingScheduler(Scheduler):  # type: ignore[misc]  # rq-scheduler has no types
    """Repairs the schedule before each check, so that it is complete after a flush of Redis.

    `is_ending`: a stop is requested.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            connection=patient_client(settings.redis_url), interval=1, job_class=PortalJob
        )
        self._entries = table(settings)
        self._looked_at = monotonic()
        self._is_queueing = False
        self.is_ending = False

    def listen(self) -> None:
        """Handle signals from now on. rq-scheduler's own handlers deregister from Redis twice, and
        a hanging Redis should be waited for only once."""

        def end(*_: object) -> None:
            self.is_ending = True
            if not self._is_queueing:
                raise SystemExit

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)

    def _install_signal_handlers(self) -> None:
        """Do nothing. rq-scheduler calls this after Redis, which may hang. `listen` is called
        earlier."""

    def enqueue_jobs(self) -> object:
        """Repair the schedule, then queue due jobs."""
        reconcile(self.connection, self._entries)
        queued = super().enqueue_jobs()
        self._looked_at = monotonic()
        return queued

    def enqueue_job(self, job: PortalJob) -> None:
        """Queue one job, and finish that even if a stop is requested.

        Its next time is written last. Without it the job would be missing until the next scheduler
        repairs the schedule.
        """
        self._is_queueing = True
        try:
            super().enqueue_job(job)
        finally:
            self._is_queueing = False
        if self.is_ending:
            raise SystemExit

    def is_well(self) -> bool:
        """Return whether it still checks for due jobs."""
        return monotonic() - self._looked_at < STUCK_AFTER


def run_scheduler() -> int:
    """Run until SIGTERM, or until Redis is gone. Return the exit code."""
    # A killed scheduler leaves a lock for eleven seconds, which is not worth a log line per check.
    logging.getLogger("rq_scheduler").setLevel(logging.ERROR)
    with gc_freeze():
        app = application()
    scheduler = RepairingScheduler(app.extensions["settings"])
    heartbeat = Heartbeat(app, heartbeats.SCHEDULER, is_well=scheduler.is_well)
    try:
        wait_for_redis(scheduler.connection)
        with suppress(SystemExit):  # how rq-scheduler ends
            scheduler.listen()
            heartbeat.begin()
            log.info("Ready.")
            scheduler.run()
    except RedisError as error:
        if not scheduler.is_ending:
            log.warning("Redis is unavailable: %s", error)
            return 1
    heartbeat.end(DEREGISTER_SECONDS)
    return 0


PATIENCE: Final = 60.0
LONGEST_PAUSE: Final = 2.0


def wait_for_redis(redis: Redis) -> None:
    """Wait until Redis answers. Raise `RedisError` after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    pause = 0.05
    while True:
        try:
            redis.ping()
        except RedisError as error:
            if time.monotonic() > deadline:
                raise
            if pause == LONGEST_PAUSE:
                log.warning("Waiting for Redis: %s", error)
            pause = min(pause * 2, LONGEST_PAUSE)
            time.sleep(pause)
        else:
            return
