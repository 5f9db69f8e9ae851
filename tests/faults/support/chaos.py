"""Random kills of random processes, repeatable by seed."""

import contextlib
import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from portal.lib.clock import utcnow
from tests.faults.support.database_locks import database_locked
from tests.faults.support.running_portal import (
    BACKGROUND,
    SCHEDULER,
    VALKEY,
    WEB,
    WORKER,
    RunningPortal,
)
from tests.support.processes import Process
from tests.support.servers import PostgresServer

log = logging.getLogger(__name__)

Fault = Callable[[], None]


class Chaos:
    """Random faults of a portal and of a second worker beside it. `done` counts them. `crashes`:
    when PostgreSQL was down."""

    def __init__(
        self, portal: RunningPortal, folder: Path, seed: int, postgres: PostgresServer | None
    ) -> None:
        self._portal, self._folder, self._postgres = portal, folder, postgres
        self._random = random.Random(seed)  # noqa: S311 - repeatable by its seed
        self.done: Counter[str] = Counter()
        self.crashes: list[tuple[datetime, datetime]] = []
        self._second = self._start_second()

    def go_on(self, seconds: float) -> None:
        """Cause one fault after another with short breaks."""
        until = time.monotonic() + seconds
        faults, weights = zip(*self._faults().items(), strict=True)
        while time.monotonic() < until:
            (fault,) = self._random.choices(faults, weights)
            log.info("%s", fault.__name__)
            # The victim can be in the middle of a restart, and a lock can cause a deadlock.
            with contextlib.suppress(IndexError, OSError, AssertionError, RedisError, DBAPIError):
                fault()
                self.done[fault.__name__] += 1
            time.sleep(self._random.uniform(0.1, 1.2))

    def close(self) -> None:
        """End the second worker."""
        self._second.close()

    def _faults(self) -> dict[Fault, int]:
        """Return the faults with their weights."""
        faults: dict[Fault, int] = {
            self.kill_a_worker: 4,
            self.kill_the_second_worker: 3,
            self.stop_a_worker: 2,
            self.let_a_worker_hang: 2,
            self.let_a_worker_hang_beyond_its_lease: 1,
            self.kill_the_web: 1,
            self.kill_something_else: 2,
            self.kill_valkey: 2,
            self.empty_valkey: 2,
            self.let_valkey_hang: 1,
            self.lock_the_database: 1,
        }
        if self._postgres is not None:
            faults[self.restart_postgresql] = 1
        return faults

    def kill_a_worker(self) -> None:
        """kill -9 a worker."""
        self._portal.kill(WORKER)

    def kill_the_second_worker(self) -> None:
        """kill -9 the second worker and start another."""
        self._second.close()
        self._second = self._start_second()

    def stop_a_worker(self) -> None:
        """Send SIGTERM to a worker."""
        self._portal.kill(WORKER, signal.SIGTERM)

    def let_a_worker_hang(self) -> None:
        """Pause a worker for as long as a busy machine does."""
        with self._portal.hanging(WORKER):
            time.sleep(1)

    def let_a_worker_hang_beyond_its_lease(self) -> None:
        """Pause a worker until the second one has taken over its deliveries."""
        if self._second.process.poll() is not None:  # it ended when Valkey was killed
            self.kill_the_second_worker()
        with self._portal.hanging(WORKER):
            time.sleep(self._portal.settings.lease_seconds + 1)

    def kill_the_web(self) -> None:
        """Kill the web server's master or one of its processes."""
        os.kill(self._random.choice(self._portal.pids_of(WEB)), signal.SIGKILL)

    def kill_something_else(self) -> None:
        """kill -9 the scheduler or the background worker."""
        self._portal.kill(self._random.choice([SCHEDULER, BACKGROUND]))

    def kill_valkey(self) -> None:
        """kill -9 Valkey."""
        self._portal.kill(VALKEY)

    def empty_valkey(self) -> None:
        """Send FLUSHALL."""
        with self._portal.redis() as redis:
            redis.flushall()

    def let_valkey_hang(self) -> None:
        """Pause Valkey, so that no client gets a response."""
        with self._portal.hanging(VALKEY):
            time.sleep(1)

    def lock_the_database(self) -> None:
        """Block all writes."""
        with database_locked(self._portal, 1.5):
            pass

    def restart_postgresql(self) -> None:
        """Restart PostgreSQL as after a crash."""
        if self._postgres is not None:
            began = utcnow()
            try:
                with self._postgres.stopped("immediate"):
                    time.sleep(0.2)
            finally:
                self.crashes.append((began, utcnow()))

    def _start_second(self) -> Process:
        arguments = ["-m", "jobs", "worker", "deliveries"]
        return Process(self._folder / "second.log", arguments, self._portal.environment)
