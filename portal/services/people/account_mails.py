"""Email people about changes to their account that they might not have made."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.mails import Mail
from portal.models.people import UserSession
from portal.services.core.time_zones import moment_words
from portal.services.mail.mailer import Letter
from portal.services.mail.mails import Writer
from portal.services.people.sessions import UNKNOWN_DEVICE

CHANGED: Final = "password_changed"
NEW_BROWSER: Final = "new_browser"

# Limit between the times of an email and a session of one sign-in, whose clocks differ.
CLOSE: Final = timedelta(seconds=10)

# kind → subject, first and last words, page to open. {portal} is the portal's host, {at} the time,
# and {browser} the browser.
WORDS: Final = {
    CHANGED: (
        "Your password for the asset register was changed",
        "Your password for {portal} was changed on {at}. We signed out every browser except the "
        "one used to change it.",
        "If you didn’t change it, contact your administrator and choose a new password:",
        "/forgot-password",
    ),
    NEW_BROWSER: (
        "New sign-in to the asset register",
        "Someone signed in to your account at {portal} from a new browser{browser} on {at}.",
        "If this wasn’t you, change your password right away:",
        "/account",
    ),
}


def write(current: Session, mail: Mail, zone: ZoneInfo) -> Letter:
    """Write the email about an event at the time when its row was stored."""
    subject, begins, ends, page = WORDS[mail.kind]
    at = f"{moment_words(mail.created_at, zone)} ({zone.key})"
    base = settings().base_url
    first = begins.format(portal=urlsplit(base).netloc, at=at, browser=_browser(current, mail))
    return Letter(subject, f"{first}\n\n{ends}\n{base}{page}\n")


def _browser(current: Session, mail: Mail) -> str:
    """Return the browser that signed in, in parentheses, or "" if unknown or signed out."""
    query = select(UserSession).where(UserSession.user_id == mail.user_id)
    by_distance = {abs(row.created_at - mail.created_at): row for row in current.scalars(query)}
    nearest = min(by_distance, default=CLOSE)
    device = by_distance[nearest].device if nearest < CLOSE else UNKNOWN_DEVICE
    return "" if device.startswith(UNKNOWN_DEVICE) else f" ({device})"


WRITERS: Final[Mapping[str, Writer]] = dict.fromkeys(WORDS, write)
