"""`look_for_alerts`: once a minute, asks whether the daily run has become due, and begins it."""

from jobs.context import job
from jobs.duty import duty
from portal.services.alerts import control
from portal.services.core.unit_of_work import database_time, session


@job
@duty()
def look_for_alerts() -> None:
    """Begin the run of the latest time of day that has none. May run twice at once."""
    control.start_due(database_time(session()))
