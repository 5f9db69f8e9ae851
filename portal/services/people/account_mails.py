"""Email people about changes to their account that they may not have made."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.mails import Mail
from portal.services.core.time_zones import moment_words
from portal.services.mail.mailer import Letter
from portal.services.mail.mails import Writer

CHANGED: Final = "password_changed"
NEW_BROWSER: Final = "new_browser"

# kind → subject, first and last words, page to go to. {portal} is where it is, {at} when it was.
WORDS: Final = {
    CHANGED: (
        "Your password for the asset register was changed",
        "Your password for {portal} was changed on {at}. We signed out every browser except the "
        "one used to change it.",
        "If you didn’t change it, contact your administrator and choose a new password:",
        "/forgot-password",
    ),
    NEW_BROWSER: (
        "A new browser signed in to the asset register",
        "A new browser signed in to your account at {portal} on {at}.",
        "If this wasn’t you, change your password right away:",
        "/account",
    ),
}


def write(_current: Session, mail: Mail, zone: ZoneInfo) -> Letter:
    """The email about what happened when its row was stored."""
    subject, begins, ends, page = WORDS[mail.kind]
    at = f"{moment_words(mail.created_at, zone)} ({zone.key})"
    base = settings().base_url
    first = begins.format(portal=urlsplit(base).netloc, at=at)
    return Letter(subject, f"{first}\n\n{ends}\n{base}{page}\n")


WRITERS: Final[Mapping[str, Writer]] = dict.fromkeys(WORDS, write)
