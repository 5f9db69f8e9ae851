"""Run periodic tasks, each in the process that takes it first.

`portal.queue.schedule` defines the intervals. rq-scheduler queues the tasks as jobs. A thread of a
background worker runs overdue ones by its own clock.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from threading import Thread
from time import monotonic
from typing import Final

from flask import Flask, current_app
from rq.utils import import_attribute
from sqlalchemy.exc import SQLAlchemyError

from jobs import tasks
from jobs.context import job
from jobs.progress import Progress
from jobs.stop_flag import stop
from jobs.tasks import at_work
from portal.config.settings import Settings
from portal.extensions import settings
from portal.queue import notifier
from portal.queue.names import BACKGROUND, MAINTENANCE_ID
from portal.queue.schedule import Entry, table
from portal.services import tasks as task_leases
from portal.services.actions.planning import reservations
from portal.services.alerts import emails, runs
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.mail import mails, outgoing
from portal.services.mail_kinds import KINDS as MAIL_KINDS
from portal.services.operations import backups, retention
from portal.services.operations.retention import WrongClock
from portal.services.outbox import claimable
from portal.services.task_kinds import KINDS
from portal.services.webhooks import notices, takes, turn_on_off

log = logging.getLogger(__name__)

# Share of the interval. rq-scheduler is not exact, and a task that comes slightly early must not
# wait for the run after next.
SHARE: Final = 0.5
PRUNE_SECONDS: Final = 30.0  # less than a scheduled job may take, and the next run prunes the rest

LOOK_EVERY: Final = 1.0  # seconds, for tasks and emails
PERIODIC_EVERY: Final = 5.0
GRACE: Final = timedelta(seconds=1)  # a notification has usually started it by then
# The schedule will not start a periodic task that is this many intervals and seconds late.
LATE: Final = 2
LATE_SECONDS: Final = 10.0

Task = Callable[[], None]


def periodic(name: str) -> Callable[[Task], Task]:
    """Skip the task if any process began it within `SHARE` of its interval. `name`: id of its
    schedule entry."""

    def decorate(function: Task) -> Task:
        @wraps(function)
        def run() -> None:
            (interval,) = (entry.interval for entry in table(settings()) if entry.id == name)
            with at_work:
                with writing() as current:
                    pause = SHARE * interval
                    is_due = heartbeats.take_periodic_task(current.connection(), name, pause)
                if is_due:
                    function()

        return run

    return decorate


@job
@periodic("alerts")
def look_for_alerts() -> None:
    """Start the run of the latest time of day that has none, and store the emails about new alerts.
    Safe to run concurrently."""
    runs.start_due(database_time(session()))
    emails.tell_new()


@job
@periodic("notices")
def send_notices() -> None:
    """Store the emails of due notices, and end the takes of recovered webhooks. Safe to run
    concurrently."""
    takes.end()
    notices.tell_due()


@job
@periodic("turn-on")
def turn_on_webhooks() -> None:
    """Turn on webhooks whose time-limited turn-off has ended. Safe to run concurrently."""
    turn_on_off.turn_on_due()


@job
@periodic("expire-reservations")
def expire_reservations() -> None:
    """Close expired reservations. The next run takes any excess. Safe to run concurrently."""
    reservations.expire_due(database_time(session()))


@job
@periodic("prune")
def prune() -> None:
    """Delete deliveries and other rows past their retention. Safe to run concurrently."""
    try:
        retention.prune(PRUNE_SECONDS)
    except WrongClock as error:
        log.warning("%s", error)


@job
@periodic("backup")
def back_up() -> None:
    """Start tonight's backup. Safe to run concurrently."""
    backups.start_nightly(database_time(session()))


@job
def maintain() -> None:
    """Settle deliveries and notify of claimable ones, unless a sender runs here. Safe to run
    concurrently."""
    if "sender" in current_app.extensions:
        return
    _settle()
    if claimable.has_claimable():
        notifier.notify()
    if task_leases.has_due():
        notifier.notify_tasks()


@periodic(MAINTENANCE_ID)
def _settle() -> None:
    dispatch_maintenance.maintain()


class FallbackScheduler:
    """Runs due work that no job has started, while a background worker's main thread is idle.

    The schedule and the notifications are in Redis, but the work is not. `progress`: marks of the
    thread.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        settings: Settings = app.extensions["settings"]
        self._entries = [entry for entry in table(settings) if entry.queue == BACKGROUND]
        self._began = self._periodic_at = monotonic()
        self.progress = Progress()
        self._thread = Thread(target=self._run, name="fallback-scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end for at most `seconds`, once a stop is requested."""
        if self._thread.is_alive():  # otherwise it has not begun, and ends as soon as it does
            self._thread.join(seconds)

    def _run(self) -> None:
        while not stop.wait(LOOK_EVERY):
            if not at_work.acquire(blocking=False):
                continue  # the main thread is working
            self.progress.begin()
            try:
                with self._app.app_context():
                    self._look()
            except SQLAlchemyError as error:
                log.debug("Not looked: %s", error.__class__.__name__)
            except Exception:
                log.exception("Work that started without the schedule failed. It will run again.")
            finally:
                self.progress.end()
                at_work.release()

    def _look(self) -> None:
        if task_leases.has_due(since=GRACE):
            tasks.work(KINDS)
        if mails.has_due(since=GRACE):
            outgoing.send_due(MAIL_KINDS)
        if monotonic() >= self._periodic_at:
            self._periodic_at = monotonic() + PERIODIC_EVERY
            for entry in filter(self._is_late, self._entries):
                log.info("Started %s without the schedule.", entry.id)
                import_attribute(entry.job)()

    def _is_late(self, entry: Entry) -> bool:
        age = heartbeats.age(entry.id)
        if age is None:
            age = monotonic() - self._began
        return age > LATE * entry.interval + LATE_SECONDS
