"""`prune`: once an hour, what has been kept long enough goes."""

from typing import Final

from jobs.context import job
from portal.services.operations import retention

# Less than a scheduled job may take; what is left is the next run's.
SECONDS: Final = 30.0


@job
def prune() -> None:
    """Let go of old deliveries and what belongs to them. May run twice at once."""
    retention.prune(SECONDS)
