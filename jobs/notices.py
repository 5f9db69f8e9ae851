"""`send_notices`: once a minute, whoever should know of a webhook in trouble is told by e-mail."""

from jobs.context import job
from portal.services import notices


@job
def send_notices() -> None:
    """Send what is due. Run twice at once, somebody may be told twice."""
    notices.send_due()
