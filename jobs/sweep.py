"""The sweep: every few seconds, whatever rang or did not ring, what is due gets its pump.

Each sender does the same between two requests; this is for the time in which none gets to it.
"""

from jobs.context import job
from jobs.duty import duty
from portal.queue import bell, task_bell
from portal.services.dispatch import sweep as dispatch_sweep
from portal.services.outbox import due
from portal.services.tasks import leases as task_leases


@job
@duty(share=1.0)
def sweep() -> None:
    """Settle what nobody else will, ring if anything is claimable.

    May run twice at once, and beside a pump.
    """
    dispatch_sweep.settle()
    if due.has_claimable(by_anybody=True):  # whoever hears the bell may be on another machine
        bell.ring()
    if task_leases.has_due():
        task_bell.ring()
