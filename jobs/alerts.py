"""`look_for_alerts`: once a minute, asks whether the daily run has become due, and begins it."""

from jobs.context import job
from portal.lib.clock import utcnow
from portal.services.alerts import control


@job
def look_for_alerts() -> None:
    """Begin the run of the latest time of day that has none. May run twice at once."""
    control.start_due(utcnow())
