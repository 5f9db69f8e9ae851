"""`send_notices`: once a minute, whoever should know of a webhook in trouble is told by e-mail."""

from jobs.context import job
from jobs.duty import duty
from portal.services.webhooks.notices import emails


@job
@duty()
def send_notices() -> None:
    """Send what is due. Run twice at once, somebody may be told twice."""
    emails.send_due()
