"""Email one-time links. A link is derived when its email is sent, and never stored."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.mails import Mail
from portal.models.people import Link, LinkKind, Role, User
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import moment_words
from portal.services.mail import mails
from portal.services.mail.mailer import Letter
from portal.services.mail.mails import Writer
from portal.services.people import one_time_links
from portal.services.people.accounts import ROLE_NAMES

FORGOTTEN: Final = "link_forgotten"
# kind → subject, first and last words. {portal} is the portal’s host, {by} the link’s maker,
# and {role} the invited person’s role.
WORDS: Final = {
    f"link_{LinkKind.INVITE}": (
        "You’re invited to the asset register at {portal}",
        "{by} invited you to the asset register at {portal} as {role}.\n\nAccept your invitation:",
        "If you weren’t expecting an invitation, ignore this email.",
    ),
    f"link_{LinkKind.RESET}": (
        "Choose a new password for the asset register",
        "{by} sent you a link to choose a new password at {portal}.\n\nChoose a new password:",
        "Your current password works until you choose a new one. If you weren’t expecting this "
        "link, contact your administrator.",
    ),
    FORGOTTEN: (
        "Choose a new password for the asset register",
        "We received a request for a new password for your account at {portal}.\n\n"
        "Choose a new password:",
        "Your current password works until you choose a new one. If you didn’t request a new "
        "password, ignore this email.",
    ),
}


def send(current: Session, link: Link) -> None:
    """Email a link to its person, in the caller's transaction. Raises `Refusal`."""
    if not mails.is_on():
        raise Refusal("Email isn’t set up. Copy the link instead.")
    if not is_live(current, link):
        raise Refusal("This link has expired. Create a new one.")
    mails.write(current, f"link_{link.kind}", link_id=link.id)


def write(current: Session, mail: Mail, zone: ZoneInfo) -> Letter | None:
    """Write the email with the link. Return None if the link no longer works."""
    link = current.get(Link, mail.link_id)
    if link is None or not is_live(current, link):
        return None
    subject, begins, ends = WORDS[mail.kind]
    maker = current.get(User, link.created_by_id) if link.created_by_id else None
    portal = urlsplit(settings().base_url).netloc
    until = f"{moment_words(link.expires_at, zone)} ({zone.key})"
    by = " ".join(maker.name.split()) if maker else "An administrator"
    role = ROLE_NAMES[Role(link.role)]
    return Letter(
        subject.format(portal=portal),
        f"{begins.format(portal=portal, by=by, role=role)}\n{one_time_links.address_of(link)}\n\n"
        f"The link works once and expires on {until}. {ends}\n",
    )


WRITERS: Final[Mapping[str, Writer]] = dict.fromkeys(WORDS, write)


def is_live(current: Session, link: Link) -> bool:
    """Return whether the link still works."""
    is_unused = link.used_at is None and one_time_links.has_token(link)
    return is_unused and not one_time_links.is_over(current, link)
