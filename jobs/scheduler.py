"""The scheduler process: rq-scheduler, looking once a second."""

import logging

from redis.exceptions import RedisError
from rq_scheduler import Scheduler

from jobs.waiting import wait_for_redis
from portal.config import Settings, load_settings
from portal.queue import patient_client
from portal.schedule import reconcile, table

log = logging.getLogger(__name__)


class RepairingScheduler(Scheduler):  # type: ignore[misc]  # rq-scheduler has no types
    """Repairs the schedule before each look: after a flush of Redis the next one is complete."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(connection=patient_client(settings.redis_url), interval=1)
        self._entries = table(settings)

    def enqueue_jobs(self) -> object:
        """Queue what is due now."""
        reconcile(self.connection, self._entries)
        return super().enqueue_jobs()


def run_scheduler() -> int:
    """Run until SIGTERM. Returns the exit code when Redis is gone."""
    # A scheduler killed in its run leaves a lock for eleven seconds: not worth a line each.
    logging.getLogger("rq_scheduler").setLevel(logging.ERROR)
    scheduler = RepairingScheduler(load_settings())
    try:
        wait_for_redis(scheduler.connection)
        log.info("Ready.")
        scheduler.run()
    except RedisError as error:
        log.warning("Redis is gone: %s", error)
    return 1
