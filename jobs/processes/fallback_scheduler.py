"""The thread of a background worker that does what nobody has called the worker for: the schedule
and the tasks' notifier are in Redis, and the work is not."""

import logging
from datetime import timedelta
from threading import Thread
from time import monotonic
from typing import Final

from flask import Flask
from rq.utils import import_attribute
from sqlalchemy.exc import SQLAlchemyError

from jobs import tasks
from jobs.periodic import at_work
from jobs.progress import Progress
from jobs.stop_flag import stop
from portal.config.settings import Settings
from portal.queue.names import BACKGROUND
from portal.queue.schedule import Entry, table
from portal.services import tasks as task_leases
from portal.services.core import heartbeats
from portal.services.task_kinds import KINDS

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0  # seconds, for tasks
PERIODIC_EVERY: Final = 5.0
GRACE: Final = timedelta(seconds=1)  # in which a notification has usually called somebody
# A periodic task that is so many intervals and seconds late will not be started by the schedule.
LATE: Final = 2
LATE_SECONDS: Final = 10.0


class FallbackScheduler:
    """Looks whether work waits, while the main thread waits for jobs. `progress`: whether it gets
    on.

    Never works while the main thread does.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        settings: Settings = app.extensions["settings"]
        self._entries = [entry for entry in table(settings) if entry.queue == BACKGROUND]
        self._began = self._periodic_at = monotonic()
        self.progress = Progress()
        self._thread = Thread(target=self._run, name="fallback-scheduler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """The stop was asked for: wait until it has ended, at most so long."""
        if self._thread.is_alive():  # else it has not begun yet, and ends as soon as it has
            self._thread.join(seconds)

    def _run(self) -> None:
        while not stop.wait(LOOK_EVERY):
            self.progress.begin()
            try:
                with self._app.app_context():
                    self._look()
            except SQLAlchemyError as error:
                log.debug("Not looked: %s", error.__class__.__name__)
            except Exception:
                log.exception("What was started without the schedule failed; it comes again.")
            self.progress.end()

    def _look(self) -> None:
        if task_leases.has_overdue(GRACE) and at_work.acquire(blocking=False):
            try:
                tasks.work(KINDS)
            finally:
                at_work.release()
        if monotonic() >= self._periodic_at:
            self._periodic_at = monotonic() + PERIODIC_EVERY
            self._start_late()

    def _start_late(self) -> None:
        for entry in self._entries:
            age = heartbeats.age(entry.id)
            if age is None:
                age = monotonic() - self._began
            if age > LATE * entry.interval + LATE_SECONDS and at_work.acquire(blocking=False):
                try:
                    self._do(entry)
                finally:
                    at_work.release()

    def _do(self, entry: Entry) -> None:
        log.info("Started %s without the schedule.", entry.id)
        import_attribute(entry.job)()
