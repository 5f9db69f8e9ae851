"""A worker process: one RQ queue, jobs run in the process itself.

What is due is known to the database, so a worker that gets into trouble with Redis ends, with an
exit code that says so, and the supervisor starts a fresh one.
"""

import gc
import logging
import os
import sys
from typing import NoReturn

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.utils import import_attribute
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from jobs.context import application, job
from jobs.deliver import equip
from jobs.processes.heartbeat import GOODBYE, Heartbeat
from jobs.processes.open_files import raise_limit_of_open_files
from jobs.processes.redis_wait import LONGEST_PAUSE, wait_for_redis
from jobs.pump.database_writer import DatabaseWriter
from jobs.stop_flag import stop
from jobs.sweep import sweep
from jobs.turns import turns
from portal.config.values import SettingsError
from portal.queue.clients import patient_client
from portal.queue.names import DELIVERIES, JOB_NAMES
from portal.queue.portal_job import PortalJob, remove_odd_ids
from portal.queue.schedule import ensure_schedule
from portal.services.core import heartbeats, runs, vault
from portal.services.dispatch import claim as dispatch_claim

log = logging.getLogger(__name__)

SWEEP_IS_LATE = 15.0  # seconds; then the scheduler is taken for dead and the workers sweep
YOUNG_OBJECTS = 10_000  # looked through at a time; Python's 700 cost a worker 5 % of its time
# libcurl gives a name up after five seconds, which is how long the resolver waits for the first
# answer: a lost packet, or a first name server that is down, would be a failed attempt.
RESOLVER = ("RES_OPTIONS", "timeout:2 attempts:2")


class PortalWorker(SimpleWorker):
    """RQ's worker without forks; only its two public hooks are ours."""

    # RQ doubles its pause up to a minute; everything would wait that long after an outage.
    max_connection_wait_time = LONGEST_PAUSE

    def handle_warm_shutdown_request(self) -> None:
        """SIGTERM does not reach a running job: the pump reads this flag."""
        stop.set()
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # untyped in RQ

    def run_maintenance_tasks(self) -> None:
        """RQ's own housekeeping, and what keeps deliveries going without the scheduler.

        The first run comes right before the first job, when a SIGTERM already ends us in peace.
        """
        is_first = self.last_cleaned_at is None
        for queue in self.queues:
            remove_odd_ids(queue)
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # untyped in RQ
        try:
            keep_going()
        except SQLAlchemyError as error:
            log.warning("The database does not answer: %s", error.__class__.__name__)
        if is_first:
            log.info("Ready for %s.", self.queue_names()[0])


@job
def keep_going() -> None:
    """Repair the schedule, forget who is gone, and sweep when nobody has for a while."""
    ensure_schedule()
    heartbeats.forget_the_dead()
    age = heartbeats.age(heartbeats.SWEEP)
    if age is None or age > SWEEP_IS_LATE:
        sweep()


def run_worker(queue_name: str) -> NoReturn:
    """Work until SIGTERM (exit code 0) or until Redis is gone (1); 2: a bad setting.

    Leaves by `os._exit`: a name lookup that hangs in libcurl must not hold up the end.
    """
    code = 1
    os.environ.setdefault(*RESOLVER)
    try:
        warm_up(queue_name)
        code = _work(queue_name)
    except RedisError as error:
        log.warning("Redis is gone: %s", error)
    except SettingsError as error:
        log.error("%s", error)
        code = 2
    except Exception:
        log.exception("The worker for %s failed.", queue_name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _work(queue_name: str) -> int:
    redis = patient_client(application().extensions["settings"].redis_url)
    wait_for_redis(redis)
    kind = heartbeats.worker_of(queue_name)
    heartbeat = Heartbeat(application(), kind, is_well=turns.are_taken).begin()
    worker = PortalWorker(
        [queue_name],
        connection=redis,
        job_class=PortalJob,
        worker_ttl=45,
        maintenance_interval=30,
        log_job_description=False,
    )
    worker.work(logging_level="WARNING")
    if not stop.is_set():
        return 1
    heartbeat.end(GOODBYE)
    return 0


def warm_up(queue_name: str) -> None:
    """Do now what the first delivery would have to wait for, and check the keys.

    Raises `SettingsError` when they cannot open what is stored.
    """
    raise_limit_of_open_files()
    for name in JOB_NAMES:
        import_attribute(name)
    configure_mappers()
    with application().app_context():
        runs.mark()
        try:
            vault.check_canary()
            if queue_name == DELIVERIES:
                DatabaseWriter(equip().engine).write(dispatch_claim.rehearse)
        except SQLAlchemyError as error:
            log.warning("The database does not answer: %s", error.__class__.__name__)
    # What has been imported stays for good. Else the collector looks through all of it now and
    # then, and whatever is on its way waits for tens of milliseconds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
