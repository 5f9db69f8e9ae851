"""`expire_reservations`: once a minute, what nobody collected by its end is closed and told of."""

from jobs.context import job
from jobs.duty import duty
from portal.services.actions.planning import reservation_expiry
from portal.services.core.unit_of_work import database_time, session


@job
@duty()
def expire_reservations() -> None:
    """Close what has run out. May run twice at once; what is too much for one run is left to the
    next."""
    reservation_expiry.expire_due(database_time(session()))
