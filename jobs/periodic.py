"""Run periodic tasks, each in the process that takes it first.

`portal.queue.schedule` says how often. rq-scheduler queues them as jobs; what it does not start in
time is done by the thread of a background worker, by the worker's own clock.
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

# Of its interval: rq-scheduler is not exact, and what comes a little early must not wait for the
# time after next.
SHARE: Final = 0.5
PRUNE_SECONDS: Final = 30.0  # less than a scheduled job may take; what is left is the next run's

LOOK_EVERY: Final = 1.0  # seconds, for tasks and emails
PERIODIC_EVERY: Final = 5.0
GRACE: Final = timedelta(seconds=1)  # by then a notification has usually started it
# A periodic task that is so many intervals and seconds late will not be started by the schedule.
LATE: Final = 2
LATE_SECONDS: Final = 10.0

Task = Callable[[], None]


def periodic(name: str) -> Callable[[Task], Task]:
    """Do it unless somebody has begun it within a `SHARE` of its interval. `name`: its entry's."""

    def decorate(function: Task) -> Task:
        @wraps(function)
        def run() -> None:
            (interval,) = (each.interval for each in table(settings()) if each.id == name)
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
    """Begin the run of the latest time of day that has none, and store the emails about new alerts.
    May run twice at once."""
    runs.start_due(database_time(session()))
    emails.tell_new()


@job
@periodic("notices")
def send_notices() -> None:
    """Store the emails of notices that are due, and end the takes of webhooks that have recovered.
    May run twice at once."""
    takes.end()
    notices.tell_due()


@job
@periodic("turn-on")
def turn_on_webhooks() -> None:
    """Turn on what was turned off until now. May run twice at once."""
    turn_on_off.turn_on_due()


@job
@periodic("expire-reservations")
def expire_reservations() -> None:
    """Close what has run out. May run twice at once; what is too much for one run is left to the
    next."""
    reservations.expire_due(database_time(session()))


@job
@periodic("prune")
def prune() -> None:
    """Let go of old deliveries and what belongs to them. May run twice at once."""
    try:
        retention.prune(PRUNE_SECONDS)
    except WrongClock as error:
        log.warning("%s", error)


@job
@periodic("backup")
def back_up() -> None:
    """Begin tonight's backup. May run twice at once."""
    backups.start_nightly(database_time(session()))


@job
def maintain() -> None:
    """Where no sender runs: settle, and notify if anything is claimable. May run twice at once."""
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
    """Does what nobody has called a background worker for, while its main thread waits for jobs:
    the schedule and notifications are in Redis, and the work is not. `progress`: whether it gets
    on.
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
            if not at_work.acquire(blocking=False):
                continue  # the main thread works
            self.progress.begin()
            try:
                with self._app.app_context():
                    self._look()
            except SQLAlchemyError as error:
                log.debug("Not looked: %s", error.__class__.__name__)
            except Exception:
                log.exception("Work that was started without the schedule failed. It comes again.")
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
