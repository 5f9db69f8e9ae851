"""A worker process that runs the jobs of one RQ queue without forking.

The database knows the due work, so a second thread polls it. After any Redis error, the main thread
reconnects a second later.
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
PAUSE: Final = 1.0  # seconds before connecting to Redis again
SAID_EVERY: Final = 60.0
M_ARENA_MAX: Final = -8  # of glibc's malloc.h
# By default the resolver waits five seconds for the first answer, but a connection may take only
# two to five. A lost packet or a dead first name server would fail the attempt.
RESOLVER: Final = ("RES_OPTIONS", "timeout:1 attempts:4")


class PortalWorker(SimpleWorker):
    """RQ's worker without forks. Only its two public hooks are overridden."""

    # RQ doubles its pause up to a minute. After an outage all jobs would wait that long.
    max_connection_wait_time = LONGEST_PAUSE

    def handle_warm_shutdown_request(self) -> None:
        """Set the flag that other threads and long jobs read."""
        stop.set()
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]  # untyped in RQ

    def run_maintenance_tasks(self) -> None:
        """Run RQ's housekeeping and our own."""
        for queue in self.queues:
            remove_odd_ids(queue)
            put_back_untaken(queue)
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # untyped in RQ
        try:
            keep_going()
        except SQLAlchemyError as error:
            log.warning("The database is not responding: %s", error.__class__.__name__)


class PatientQueue(Queue):
    """An RQ queue that gives the sender of this process a head start."""

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
        """Take a job slightly late. The commit that queued it has woken the sender, which shares
        the interpreter. RQ's work on the job would delay the request."""
        moved = super().lmove(connection, queue_key, timeout)
        if moved is not None:
            sleep(HEAD_START)
        return moved


def remove_odd_ids(queue: Queue) -> None:
    """Remove job ids that RQ cannot decode, because each would end its worker every time."""
    redis = queue.connection
    for key in (queue.key, queue.intermediate_queue_key):
        for id_ in cast("list[bytes]", redis.lrange(key, 0, -1)):
            if id_ != id_.decode(errors="ignore").encode():
                redis.lrem(key, 0, cast("str", id_))
                log.warning("Skipped a job whose ID is not text: %r.", id_[:LONGEST_SHOWN])


def put_back_untaken(queue: Queue) -> None:
    """Requeue jobs whose worker took them but ended before starting them. RQ would fail them after
    a minute without a log line, although every job is safe to run twice."""
    redis, taken = queue.connection, queue.intermediate_queue
    for id_ in taken.get_job_ids():
        if taken.should_be_cleaned_up(id_) and id_ not in queue.started_job_registry:
            with redis.pipeline() as at_once:
                at_once.lrem(taken.key, 0, id_)
                at_once.delete(taken.get_first_seen_key(id_))
                at_once.rpush(queue.key, id_)
                at_once.execute()


class QuietFilter(logging.Filter):
    """Limits Redis errors to one log line a minute, because an outage causes hundreds."""

    _again_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Strip the stack from a Redis error and return whether to log the record."""
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
    """Repair the schedule and delete the rows of lost processes."""
    ensure_schedule()
    heartbeats.delete_lost()


def run_worker(queue_name: str) -> NoReturn:
    """Run jobs until SIGTERM. Exit with 0, with 1 on an unexpected error, or with 2 on a bad
    setting."""
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
    # A job of the deliveries queue only waits for the sender.
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
        with suppress(StopRequested):  # RQ's own signal handler may still be installed
            _take_jobs(queue_name, settings.redis_url)
    shutdown.main_has_ended()


def _take_jobs(queue_name: str, redis_url: str) -> None:
    """Run the jobs of a queue until Redis fails or a stop is requested."""
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
            thread.stop()  # RQ could not do it if Redis failed
    if not stop.is_set():
        sleep(PAUSE)


def share_one_arena() -> None:
    """Make all threads share one malloc arena. Call this before they start.

    The kernel would take back a thread's own arena after each batch and hand it out again. C
    libraries other than glibc have no arenas.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def share_connectivity(engine: Engine) -> None:
    """Reload the list of senders and store the hosts that this sender cannot connect to."""
    with engine.connect() as connection:
        own_sharding.refresh(connection)
    equip().connectivity.write_status(engine)


def warm_up(queue_name: str) -> None:
    """Preload everything that would delay the first delivery, and check the keys.

    Raise `SettingsError` if the keys cannot decrypt the stored secrets.
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
            log.warning("The database is not responding: %s", error.__class__.__name__)


PATIENCE: Final = 14.0  # seconds; the supervisor kills after 15
LAST_WRITES: Final = 1.0  # … for RQ's last writes to Redis, which are never read
ASKED_BY: Final = frozenset({signal.SIGINT, signal.SIGTERM})


class Shutdown:
    """Waits for the stop in its own thread, because the main thread may hang in a call to Redis.

    Python runs signal handlers only in the main thread, after its current call returns. A name
    lookup does not return for a signal, nor does a call that starts at the moment of the signal. So
    this thread receives signals itself.

    `waits_for_job`: whether to let the main thread finish its job.
    """

    def __init__(
        self, thread: Sender | FallbackScheduler, heartbeat: Heartbeat, *, waits_for_job: bool
    ) -> None:
        self._other, self._heartbeat = thread, heartbeat
        self._waits_for_job = waits_for_job
        self._has_ended = Event()  # set by the main thread, outside of its signal handlers
        self._thread = Thread(target=self._run, name="shutdown", daemon=True)

    def begin(self) -> None:
        """Start waiting for the stop. Call this from the main thread."""
        self._signals = signal_sockets()
        self._thread.start()
        listen()

    def main_has_ended(self) -> NoReturn:
        """Wait for the process to end. The main thread calls this when it has no work left."""
        self._has_ended.set()
        self._thread.join()
        leave(1)  # only reached if that thread has failed

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
        self._has_ended.wait(max(0.0, min(LAST_WRITES, until - monotonic())))
        if monotonic() < until:
            self._heartbeat.end(DEREGISTER_SECONDS)
        leave(0)


def listen() -> None:
    """Treat SIGTERM and Ctrl-C as a stop request. RQ installs its own handlers while it works."""
    for number in ASKED_BY:
        signal.signal(number, lambda *_: stop.set())


def leave(code: int) -> NoReturn:
    """Exit at once, because a hanging name lookup in libcurl must not delay the end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
