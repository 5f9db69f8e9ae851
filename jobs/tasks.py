"""`run_tasks`: work at what is due for at most 20 seconds, then queue it again."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from threading import RLock
from time import monotonic, sleep
from typing import Final

from jobs.context import job
from jobs.stop_flag import stop
from portal.queue import notifier
from portal.services import tasks as task_leases
from portal.services.task_kinds import KINDS
from portal.services.tasks import MOST_FAILURES, Kind, TaskLease

log = logging.getLogger(__name__)

JOB_SECONDS: Final = 20.0
LEASE_SECONDS: Final = 5.0  # then another task that is due has its turn

# Held by the one thread of this process that works at tasks, or does a periodic task.
at_work: Final = RLock()


@job
def run_tasks() -> None:
    """Take turns at the due tasks. May run twice, on any number of machines."""
    notifier.notifier().begin_tasks()
    with at_work:
        work(KINDS)
    if task_leases.has_due():
        notifier.notify_tasks()


def work(kinds: Mapping[str, Kind], seconds: float = JOB_SECONDS) -> None:
    """Work until nothing is due, the time is over, or the worker is asked to stop."""
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
        _work_at(lease, kind, min(ends_at, monotonic() + LEASE_SECONDS))


def _work_at(lease: TaskLease, kind: Kind, ends_at: float) -> None:
    try:
        while task_leases.advance(lease, kind):
            sleep(kind.pause)
            if stop.is_set() or monotonic() >= ends_at:
                task_leases.release(lease)
                return
    except Exception:  # one kind's error must not keep the others from their turn
        log.exception("Task %s (%s) failed. It will be tried again.", lease.public_id, lease.kind)
        task_leases.release(lease, timedelta(seconds=2.0**lease.failures))
