"""`expire_reservations`: once a minute, what nobody collected by its end is closed and told of."""

from jobs.context import job
from portal.lib.clock import utcnow
from portal.services import expiring


@job
def expire_reservations() -> None:
    """Close what has run out. May run twice at once; what is too much for one run is left to the
    next."""
    expiring.expire_due(utcnow())
