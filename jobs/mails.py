"""`send_mails`, the job that sends due emails."""

from jobs.context import job
from jobs.tasks import at_work
from portal.queue import notifier
from portal.services.mail import outgoing
from portal.services.mail_kinds import KINDS


@job
def send_mails() -> None:
    """Send due emails for at most half a minute. The fallback scheduler sends the rest. Safe to run
    twice, on any number of machines."""
    notifier.notifier().begin_mails()
    with at_work:
        outgoing.send_due(KINDS)
