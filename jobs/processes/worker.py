"""A worker process: one RQ queue, jobs run in the process itself.

What is due is known to the database. So a thread beside the main one looks there, and whatever
happens to Redis, the main one begins anew with it a second later.
"""

import ctypes
import logging
import os
from contextlib import suppress
from time import monotonic, sleep
from typing import Final, NoReturn

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.utils import import_attribute
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from jobs.context import application, job
from jobs.deliver import equip, new_sender
from jobs.processes.heartbeat import Heartbeat
from jobs.processes.open_files import raise_limit_of_open_files
from jobs.processes.shutdown import Shutdown, leave, listen
from jobs.processes.substitute import Substitute
from jobs.processes.watchdog import Watchdog
from jobs.pump.database_writer import DatabaseWriter
from jobs.pump.prober import Prober
from jobs.stop_flag import stop
from jobs.turns import turns
from portal.config.settings import Settings
from portal.config.values import SettingsError
from portal.garbage import lasting
from portal.queue.clients import patient_client
from portal.queue.names import DELIVERIES, JOB_NAMES
from portal.queue.portal_job import PortalJob, put_back_untaken, remove_odd_ids
from portal.queue.schedule import ensure_schedule
from portal.services.core import heartbeats, runs, vault
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.outbox import reach_rows

log = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 2.0
PAUSE: Final = 1.0  # seconds until it is tried with Redis once more
SAID_EVERY: Final = 60.0
M_ARENA_MAX: Final = -8  # of glibc's malloc.h
# The resolver waits five seconds for the first answer, and we connect within two to five: a lost
# packet, or a first name server that is down, would be a failed attempt.
RESOLVER: Final = ("RES_OPTIONS", "timeout:1 attempts:4")


class PortalWorker(SimpleWorker):
    """RQ's worker without forks; only its two public hooks are ours."""

    # RQ doubles its pause up to a minute; everything would wait that long after an outage.
    max_connection_wait_time = LONGEST_PAUSE

    def handle_warm_shutdown_request(self) -> None:
        """What works beside the main thread reads this flag, and long jobs do."""
        stop.set()
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # untyped in RQ

    def run_maintenance_tasks(self) -> None:
        """RQ's own housekeeping, and ours."""
        for queue in self.queues:
            remove_odd_ids(queue)
            put_back_untaken(queue)
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # untyped in RQ
        try:
            keep_going()
        except SQLAlchemyError as error:
            log.warning("The database does not answer: %s", error.__class__.__name__)


class QuietFilter(logging.Filter):
    """Of the lines that tell of an error of Redis, one a minute, without its stack: in an outage
    there are hundreds."""

    _again_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is worth a line."""
        told = record.args if isinstance(record.args, tuple) else ()
        raised = record.exc_info[1] if record.exc_info else None
        error = next((each for each in (*told, raised) if isinstance(each, RedisError)), None)
        if error is None:
            return True
        record.msg, record.args, record.exc_info = "Redis is in trouble: %s", (error,), None
        now = monotonic()
        if now < self._again_at:
            return False
        self._again_at = now + SAID_EVERY
        return True


@job
def keep_going() -> None:
    """Repair the schedule, and forget who is gone."""
    ensure_schedule()
    heartbeats.forget_the_dead()
    with writing() as current:
        reach_rows.forget_gone(current.connection())


def run_worker(queue_name: str) -> NoReturn:
    """Work until SIGTERM (exit code 0). 1: an error of ours; 2: a bad setting."""
    code = 1
    os.environ.setdefault(*RESOLVER)
    share_one_arena()
    try:
        with lasting():
            warm_up(queue_name)
        _work(queue_name)
    except SettingsError as error:
        log.error("%s", error)
        code = 2
    except Exception:
        log.exception("The worker for %s failed.", queue_name)
    finally:
        leave(code)


def _work(queue_name: str) -> NoReturn:
    app = application()
    settings: Settings = app.extensions["settings"]
    sends = queue_name == DELIVERIES
    beside = new_sender(app) if sends else Substitute(app)

    def is_well() -> bool:
        return turns.are_taken() and beside.turns.are_taken()

    look = Prober(app).begin().look if sends else nothing_else
    kind = heartbeats.worker_of(queue_name)
    heartbeat = Heartbeat(app, kind, is_well=is_well, beside=look)
    # A job of the deliveries' queue only waits for the sender.
    shutdown = Shutdown(beside, heartbeat, waits_for_job=not sends)
    shutdown.begin()
    heartbeat.begin()
    Watchdog([turns, beside.turns]).begin()
    beside.start()
    log.info("Ready for %s.", queue_name)
    quiet = QuietFilter()
    for logger in (log, logging.getLogger("rq.worker")):
        logger.addFilter(quiet)
    while not stop.is_set():
        with suppress(StopRequested):  # RQ's own handler may still have been there
            _take_jobs(queue_name, settings.redis_url)
    shutdown.main_has_ended()


def _take_jobs(queue_name: str, redis_url: str) -> None:
    """Run the jobs of a queue until Redis is in trouble or the stop was asked for."""
    worker: PortalWorker | None = None
    try:
        worker = PortalWorker(
            [queue_name],
            connection=patient_client(redis_url),
            job_class=PortalJob,
            worker_ttl=45,
            maintenance_interval=30,
            log_job_description=False,
        )
        worker.work(logging_level="WARNING")
    except RedisError as error:
        log.warning("Redis: %s", error)
    finally:
        listen()
        if thread := getattr(worker, "pubsub_thread", None):
            thread.stop()  # where Redis did not let RQ do it
    if not stop.is_set():
        sleep(PAUSE)


def share_one_arena() -> None:
    """Before threads begin: one has an arena of its own, which goes back to the kernel after each
    batch and is fetched again. Other C libraries than glibc have none, and no such call."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def nothing_else(_engine: Engine) -> None:
    """With each beat: only those who send have to know whom they reach."""


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
