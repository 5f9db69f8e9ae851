"""`send_mails`: send the emails that are due."""

from jobs.context import job
from jobs.tasks import at_work
from portal.queue import notifier
from portal.services.mail import outgoing
from portal.services.mail_kinds import KINDS


@job
def send_mails() -> None:
    """Send what is due, for half a minute at most; the fallback scheduler sends the rest. May run
    twice, on any number of machines."""
    notifier.notifier().begin_mails()
    with at_work:
        outgoing.send_due(KINDS)
