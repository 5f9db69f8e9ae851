"""Jobs that come again and again: whoever takes one first does it, for all."""

import logging
from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Final

from flask import current_app

from jobs.context import job
from portal.extensions import settings
from portal.queue import notifier
from portal.queue.names import SWEEP
from portal.queue.schedule import entry_of
from portal.services import tasks as task_leases
from portal.services.actions.planning import reservations
from portal.services.alerts import runs
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.dispatch import sweep as dispatch_sweep
from portal.services.operations import retention
from portal.services.operations.retention import WrongClock
from portal.services.outbox import due
from portal.services.webhooks import notices

# rq-scheduler is not exact, and what comes a little early must not wait for the time after next.
SHARE: Final = 0.5

Task = Callable[[], None]

# Held by the one thread of this process that does a periodic task, or works at tasks.
at_work: Final = RLock()


def periodic(share: float = SHARE, job: str = "") -> Callable[[Task], Task]:
    """Do it unless somebody has begun it within a `share` of the interval at which it is scheduled.

    `job`: of which it is a part, where it is not the job itself.

    So it does not matter who starts it: rq-scheduler, two of them, or who does without.
    """

    def decorate(function: Task) -> Task:
        name = job or f"{function.__module__}.{function.__name__}"

        @wraps(function)
        def run() -> None:
            entry = entry_of(settings(), name)
            with at_work:
                with writing() as current:
                    pause = share * entry.interval
                    is_due = heartbeats.take_periodic_task(current.connection(), entry.id, pause)
                if is_due:
                    function()

        return run

    return decorate


@job
@periodic()
def look_for_alerts() -> None:
    """Begin the run of the latest time of day that has none. May run twice at once."""
    runs.start_due(database_time(session()))


@job
@periodic()
def send_notices() -> None:
    """Send what is due. Run twice at once, somebody may be told twice."""
    notices.send_due()


@job
@periodic()
def expire_reservations() -> None:
    """Close what has run out. May run twice at once; what is too much for one run is left to the
    next."""
    reservations.expire_due(database_time(session()))


log = logging.getLogger(__name__)

# Less than a scheduled job may take; what is left is the next run's.
SECONDS: Final = 30.0


@job
@periodic()
def prune() -> None:
    """Let go of old deliveries and what belongs to them. May run twice at once."""
    try:
        retention.prune(SECONDS)
    except WrongClock as error:
        log.warning("%s", error)


@job
def sweep() -> None:
    """Where no sender runs: settle, and notify if anything is claimable. May run twice at once."""
    if "sender" in current_app.extensions:
        return
    _settle()
    if due.has_claimable():
        notifier.notify()
    if task_leases.has_due():
        notifier.notify_tasks()


@periodic(share=1.0, job=SWEEP)
def _settle() -> None:
    dispatch_sweep.settle()
