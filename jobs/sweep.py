"""The sweep: every few seconds, whatever rang or did not ring, what is due gets its pump.

In a process with a sender there is nothing left for it to do: the sender looks twice a second, and
puts the rest right between two requests. Nobody may do that beside him: leases that ran out may be
those of results that he still keeps, for the database was locked.
"""

from flask import current_app

from jobs.context import job
from jobs.duty import duty
from portal.queue import bell, task_bell
from portal.queue.names import SWEEP
from portal.services.dispatch import sweep as dispatch_sweep
from portal.services.outbox import due
from portal.services.tasks import leases as task_leases


@job
def sweep() -> None:
    """Where no sender runs: settle, and ring if anything is claimable. May run twice at once."""
    if "sender" in current_app.extensions:
        return
    _settle()
    if due.has_claimable(by_anybody=True):  # whoever hears the bell may be on another machine
        bell.ring()
    if task_leases.has_due():
        task_bell.ring()


@duty(share=1.0, job=SWEEP)
def _settle() -> None:
    dispatch_sweep.settle()
