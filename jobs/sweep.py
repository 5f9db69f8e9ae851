"""The sweep: every few seconds, whatever rang or did not ring, what is due gets its pump."""

import logging

from sqlalchemy.exc import OperationalError

from jobs.context import job
from portal import queue, task_bell
from portal.services import dispatch, processes, settling, task_turns

log = logging.getLogger(__name__)


@job
def sweep() -> None:
    """Settle what nobody else will, ring if anything is claimable, leave a sign of life.

    May run twice at once, and beside a pump. A database that is busy or away is no failure: the
    next sweep comes in seconds, and whoever watches sees how long ago the last one ended.
    """
    try:
        _look()
    except OperationalError as error:
        log.warning("The database does not answer; the next look will do this one's: %s", error)


def _look() -> None:
    settling.settle()
    if dispatch.has_claimable():
        queue.ring()
    if task_turns.has_due():
        task_bell.ring()
    processes.record(processes.SWEEP)
