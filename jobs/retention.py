"""`prune`: once an hour, what has been kept long enough goes."""

import logging
from typing import Final

from jobs.context import job
from jobs.duty import duty
from portal.services.operations import retention
from portal.services.operations.clock_check import WrongClock

log = logging.getLogger(__name__)

# Less than a scheduled job may take; what is left is the next run's.
SECONDS: Final = 30.0


@job
@duty()
def prune() -> None:
    """Let go of old deliveries and what belongs to them. May run twice at once."""
    try:
        retention.prune(SECONDS)
    except WrongClock as error:
        log.warning("%s", error)
