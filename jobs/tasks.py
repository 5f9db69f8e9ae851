"""`run_tasks`, the job that works on due tasks for at most 20 seconds, then queues itself again."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from threading import RLock, Thread, current_thread
from time import monotonic, sleep
from typing import Final

from flask import Flask, current_app
from sqlalchemy.exc import OperationalError

from jobs.context import job
from jobs.stop_flag import stop
from portal.database.engine import is_away
from portal.queue import notifier
from portal.services import tasks as task_leases
from portal.services.task_kinds import KINDS
from portal.services.tasks import MOST_FAILURES, Kind, LeaseOver, TaskLease

log = logging.getLogger(__name__)

JOB_SECONDS: Final = 20.0
LEASE_SECONDS: Final = 5.0  # then another due task has its turn

# Held by the one thread of this process that runs tasks or a periodic task.
at_work: Final = RLock()
# Threads that work outside of transactions. Code that waits for `at_work` does not wait for them.
outside: Final[list[Thread]] = []


@job
def run_tasks() -> None:
    """Run the due tasks in turns. Safe to run twice, on any number of machines."""
    notifier.notifier().begin_tasks()
    with at_work:
        work(KINDS)
    if task_leases.has_due():
        notifier.notify_tasks()


def work(kinds: Mapping[str, Kind], seconds: float = JOB_SECONDS) -> None:
    """Run tasks until none is due, the time is over, or a stop is requested."""
    ends_at = monotonic() + seconds
    while monotonic() < ends_at and not stop.is_set():
        lease = task_leases.claim()
        if lease is None:
            return
        kind = kinds.get(lease.kind)
        if kind is None or lease.failures > MOST_FAILURES:
            log.error("Gave up task %s (%s).", lease.public_id, lease.kind)
            task_leases.give_up(lease, kind)
            continue
        if kind.outside:
            app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # Flask's documented way
            thread = Thread(target=_work_outside, args=(app, lease, kind), daemon=True)
            outside.append(thread)
            thread.start()
            continue
        _work_at(lease, kind, min(ends_at, monotonic() + LEASE_SECONDS))


def _work_at(lease: TaskLease, kind: Kind, ends_at: float) -> None:
    try:
        while task_leases.advance(lease, kind):
            sleep(kind.pause)
            if stop.is_set() or monotonic() >= ends_at:
                task_leases.release(lease)
                return
    except Exception:  # one kind's error must not block the others
        log.exception("Task %s (%s) failed. It will be tried again.", lease.public_id, lease.kind)
        task_leases.release(lease, timedelta(seconds=2.0**lease.failures))


def _work_outside(app: Flask, lease: TaskLease, kind: Kind) -> None:
    def renew(done: int) -> None:
        if stop.is_set():
            raise LeaseOver
        try:
            task_leases.renew(lease, done)
        except OperationalError as error:
            if not is_away(error):
                raise

    with app.app_context():
        try:
            if kind.outside:
                task_leases.advance(lease, replace(kind, step=kind.outside(renew)))
        except LeaseOver:
            task_leases.release(lease)
        except Exception:  # handled like the errors of steps
            log.exception(
                "Task %s (%s) failed. It will be tried again.", lease.public_id, kind.name
            )
            task_leases.release(lease, timedelta(seconds=2.0**lease.failures))
        finally:
            outside.remove(current_thread())
