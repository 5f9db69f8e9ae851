"""One-time links: for the first set-up, and for invitations. The database keeps only hashes.

An invitation's token follows from the installation's secret key, the link's id and its end, so
that its page can show it without storing it: not in a table, a session, a flash or a redirect.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.database import database_now
from portal.extensions import settings
from portal.models.people import Link, LinkKind, Role, User
from portal.services.refusals import Refusal
from portal.services.unit import database_time, session, writing

LASTS: Final = timedelta(days=7)


class DeadLink(Refusal):
    """The link was used, has run out, was replaced, or never was one."""

    status = 410

    def __init__(self) -> None:
        super().__init__("This link does not work any more.")


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def owner(token: str) -> str:
    """Whose form it is that a link leads to: the owner of its `once` tokens."""
    return f"link:{digest(token)}"


def setup_link() -> str | None:
    """A new address that makes the first administrator; None once there is anybody.

    Earlier ones work until then: several machines may start at once.
    """
    token = secrets.token_urlsafe(32)
    with writing() as current:
        if has_people(current):
            return None
        now = database_time(current)
        current.execute(delete(Link).where(Link.kind == LinkKind.SETUP, Link.expires_at < now))
        current.add(
            Link(
                kind=LinkKind.SETUP,
                token_hash=digest(token),
                role=Role.ADMIN,
                expires_at=now + LASTS,
            )
        )
    return f"{settings().base_url}/setup?token={token}"


def invitation_address(link: Link) -> str:
    """The address that accepts this invitation."""
    return f"{settings().base_url}/invitation?token={invitation_token(link)}"


def invitation_token(link: Link) -> str:
    """The token of an invitation: 256 bits that only the secret key can bring back."""
    text = f"invitation:{link.public_id}:{link.expires_at.isoformat()}"
    mac = hmac.new(settings().secret_key.encode(), text.encode(), hashlib.sha256)
    return urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()


def has_people(current: Session) -> bool:
    """Whether anybody was ever made a user."""
    return current.execute(select(User.id).limit(1)).first() is not None


def read(kind: LinkKind, token: str) -> Link:
    """The link behind a token that still works. Raises `DeadLink`. Consumes nothing."""
    current = session()
    link = _find(current, kind, token)
    is_late = link is not None and kind is LinkKind.SETUP and has_people(current)
    if link is None or is_late or not _is_live(current, link):
        raise DeadLink
    return link


def issued(kind: LinkKind, token: str) -> Link:
    """The link behind a token, used or not: nobody else makes us work. Raises `DeadLink`."""
    link = _find(session(), kind, token)
    if link is None:
        raise DeadLink
    return link


def consume(current: Session, kind: LinkKind, token: str) -> Link:
    """Use the link up, in the transaction of what it is for. Raises `DeadLink`.

    All set-up links are locked, in one order, so that of two of them only one makes an admin.
    """
    wanted = select(Link).where(Link.kind == kind).order_by(Link.id).with_for_update()
    if kind is not LinkKind.SETUP:
        wanted = wanted.where(Link.token_hash == digest(token))
    found = [link for link in current.execute(wanted).scalars() if link.token_hash == digest(token)]
    is_late = kind is LinkKind.SETUP and has_people(current)
    if not found or is_late or not _is_live(current, found[0]):
        raise DeadLink
    found[0].used_at = database_time(current)
    return found[0]


def _find(current: Session, kind: LinkKind, token: str) -> Link | None:
    wanted = select(Link).where(Link.kind == kind, Link.token_hash == digest(token))
    return current.execute(wanted).scalar_one_or_none()


def _is_live(current: Session, link: Link) -> bool:
    return link.used_at is None and link.expires_at > database_now(current.connection())
