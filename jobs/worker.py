"""A worker process: one RQ queue, jobs run in the process itself.

What is due is known to the database. So a thread beside the main one looks there, and whatever
happens to Redis, the main one begins anew with it a second later.
"""

import ctypes
import logging
import os
import select
import signal
import sys
from contextlib import suppress
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, Final, NoReturn, cast

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.utils import import_attribute
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from jobs.context import application, job
from jobs.deliver import equip, new_sender
from jobs.dispatcher.database import DatabaseExecutor
from jobs.dispatcher.thread import Sender
from jobs.heartbeat import DEREGISTER_SECONDS, Heartbeat, Watchdog
from jobs.periodic import FallbackScheduler
from jobs.process_setup import raise_limit_of_open_files, signal_sockets
from jobs.progress import progress
from jobs.stop_flag import stop
from portal import gc_freeze
from portal.config.settings import Settings
from portal.config.values import SettingsError
from portal.queue.connection import patient_client
from portal.queue.names import DELIVERIES, JOB_NAMES
from portal.queue.portal_job import LONGEST_SHOWN, PortalJob
from portal.queue.schedule import ensure_schedule
from portal.services.core import heartbeats, vault
from portal.services.dispatch import claim as dispatch_claim
from portal.services.outbox.sharding import own_sharding

log = logging.getLogger(__name__)

LONGEST_PAUSE: Final = 2.0
HEAD_START: Final = 0.02  # seconds
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
        """Set the flag that other threads and long jobs read."""
        stop.set()
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # untyped in RQ

    def run_maintenance_tasks(self) -> None:
        """Do RQ's own housekeeping, and ours."""
        for queue in self.queues:
            remove_odd_ids(queue)
            put_back_untaken(queue)
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # untyped in RQ
        try:
            keep_going()
        except SQLAlchemyError as error:
            log.warning("The database does not answer: %s", error.__class__.__name__)


class PatientQueue(Queue):
    """RQ's queue, which lets the sender of this process go first."""

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
        """Take a job a moment late. The commit that queued it has woken the sender, and both share
        one interpreter: what RQ does with the job would hold up the request."""
        moved = super().lmove(connection, queue_key, timeout)
        if moved is not None:
            sleep(HEAD_START)
        return moved


def remove_odd_ids(queue: Queue) -> None:
    """Take out of a queue what RQ cannot read as an id, and would end over each time anew."""
    redis = queue.connection
    for key in (queue.key, queue.intermediate_queue_key):
        for id_ in cast("list[bytes]", redis.lrange(key, 0, -1)):
            if id_ != id_.decode(errors="ignore").encode():
                redis.lrem(key, 0, cast("str", id_))
                log.warning("Left out a job with an odd id: %r.", id_[:LONGEST_SHOWN])


def put_back_untaken(queue: Queue) -> None:
    """Queue again what a worker took and ended before it began: RQ would call it failed after a
    minute, without a line in any log, though every job may run twice."""
    redis, taken = queue.connection, queue.intermediate_queue
    for id_ in taken.get_job_ids():
        if taken.should_be_cleaned_up(id_) and id_ not in queue.started_job_registry:
            with redis.pipeline() as at_once:
                at_once.lrem(taken.key, 0, id_)
                at_once.delete(taken.get_first_seen_key(id_))
                at_once.rpush(queue.key, id_)
                at_once.execute()


class QuietFilter(logging.Filter):
    """Of the lines that tell of an error of Redis, one a minute, without its stack: in an outage
    there are hundreds."""

    _again_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is worth a line."""
        args = record.args if isinstance(record.args, tuple) else ()
        raised = record.exc_info[1] if record.exc_info else None
        error = next((value for value in (*args, raised) if isinstance(value, RedisError)), None)
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
    """Repair the schedule, and delete the rows of lost processes."""
    ensure_schedule()
    heartbeats.delete_lost()


def run_worker(queue_name: str) -> NoReturn:
    """Work until SIGTERM (exit code 0). 1: an error of ours; 2: a bad setting."""
    code = 1
    os.environ.setdefault(*RESOLVER)
    share_one_arena()
    try:
        with gc_freeze():
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
    thread = new_sender(app) if sends else FallbackScheduler(app)

    def is_well() -> bool:
        return progress.is_going_on() and thread.progress.is_going_on()

    kind = heartbeats.worker_of(queue_name)
    heartbeat = Heartbeat(app, kind, is_well=is_well, also=share_connectivity if sends else None)
    # A job of the deliveries' queue only waits for the sender.
    shutdown = Shutdown(thread, heartbeat, waits_for_job=not sends)
    shutdown.begin()
    heartbeat.begin()
    Watchdog([progress, thread.progress]).begin()
    thread.start()
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
            queue_class=PatientQueue,
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
    """Keep threads, which have not begun, from having arenas of their own: such a one goes back to
    the kernel after each batch and is fetched again. Other C libraries than glibc have none."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def share_connectivity(engine: Engine) -> None:
    """With each heartbeat of a sender: read who else sends, and write to whom this one cannot
    connect."""
    with engine.connect() as connection:
        own_sharding.refresh(connection)
    equip().connectivity.write_status(engine)


def warm_up(queue_name: str) -> None:
    """Do now what the first delivery would have to wait for, and check the keys.

    Raises `SettingsError` when they cannot open what is stored.
    """
    raise_limit_of_open_files()
    for name in JOB_NAMES:
        import_attribute(name)
    configure_mappers()
    with application().app_context():
        heartbeats.hold_lock()
        try:
            vault.check_keys()
            if queue_name == DELIVERIES:
                DatabaseExecutor(equip().engine).write(dispatch_claim.warm_up)
        except SQLAlchemyError as error:
            log.warning("The database does not answer: %s", error.__class__.__name__)


PATIENCE: Final = 14.0  # seconds; the supervisor kills after 15
FAREWELL: Final = 1.0  # … for what RQ tells Redis at the end, which nobody reads
ASKED_BY: Final = frozenset({signal.SIGINT, signal.SIGTERM})


class Shutdown:
    """Waits for the stop in a thread of its own: the main one may hang in a call to Redis.

    Python runs handlers of signals in the main thread alone, once that comes back from what it has
    called; a lookup of a name does not come back for them, nor what was called in the very moment
    of the signal. So this thread hears of signals by itself.

    `waits_for_job`: whether what the main thread is doing is to come to its end.
    """

    def __init__(
        self, thread: Sender | FallbackScheduler, heartbeat: Heartbeat, *, waits_for_job: bool
    ) -> None:
        self._other, self._heartbeat = thread, heartbeat
        self._waits_for_job = waits_for_job
        self._has_ended = Event()  # set by the main thread, outside of its signal handlers
        self._thread = Thread(target=self._run, name="shutdown", daemon=True)

    def begin(self) -> None:
        """Ready for the stop. For the main thread."""
        self._signals = signal_sockets()
        self._thread.start()
        listen()

    def main_has_ended(self) -> NoReturn:
        """For the main thread, which has nothing left to do."""
        self._has_ended.set()
        self._thread.join()
        leave(1)  # it has failed: else it had ended the process

    def _wait(self) -> None:
        signals, _ = self._signals
        while not stop.wait(0):
            ready, _, _ = select.select([stop.fileno(), signals.fileno()], [], [])
            if signals.fileno() in ready and not ASKED_BY.isdisjoint(signals.recv(64)):
                stop.set()

    def _run(self) -> None:
        self._wait()
        until = monotonic() + PATIENCE
        self._other.join(PATIENCE)
        while self._waits_for_job and progress.last is not None and monotonic() < until:
            sleep(0.02)
        self._has_ended.wait(max(0.0, min(FAREWELL, until - monotonic())))
        if monotonic() < until:
            self._heartbeat.end(DEREGISTER_SECONDS)
        leave(0)


def listen() -> None:
    """Take SIGTERM and Ctrl-C for the wish to stop; RQ has handlers of its own while it works."""
    for number in ASKED_BY:
        signal.signal(number, lambda *_: stop.set())


def leave(code: int) -> NoReturn:
    """End at once: a name lookup that hangs in libcurl must not hold it up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
