"""The sweep: every few seconds, whatever rang or did not ring, what is due gets its pump."""

from jobs.context import job
from portal import queue, task_bell
from portal.services import dispatch, processes, settling, task_turns


@job
def sweep() -> None:
    """Settle what nobody else will, ring if anything is claimable, leave a sign of life.

    May run twice at once, and beside a pump.
    """
    settling.settle()
    if dispatch.has_claimable():
        queue.ring()
    if task_turns.has_due():
        task_bell.ring()
    processes.record(processes.SWEEP)
