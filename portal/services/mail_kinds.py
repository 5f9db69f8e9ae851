"""Map each kind of email to its writer."""

from collections.abc import Mapping
from typing import Final

from portal.services.alerts import emails as alert_emails
from portal.services.mail import sample_mail
from portal.services.mail.mails import TEST, Writer
from portal.services.people import account_mails, forgotten_passwords, link_mails
from portal.services.webhooks import notices, takes

KINDS: Final[Mapping[str, Writer]] = {
    TEST: sample_mail.write,
    **notices.WRITERS,
    **takes.WRITERS,
    **link_mails.WRITERS,
    **forgotten_passwords.WRITERS,
    **account_mails.WRITERS,
    **alert_emails.WRITERS,
}
