"""One-time links: for the first set-up, invitations, new passwords. The database keeps hashes.

The token of a link for somebody follows from the installation's secret key, the link's id and its
end, so that its page can show it without storing it: not in a table, a session, a flash or a
redirect.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.extensions import settings
from portal.models.people import Link, LinkKind, Role, User
from portal.services import audit
from portal.services.core.permissions import Actor, allows
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, once_only, session, writing
from portal.services.people import passwords
from portal.services.people.sessions import Admission

LASTS: Final = timedelta(days=7)
# How long its maker may look at a link; after that, a new one is made.
SHOWN: Final = timedelta(minutes=15)
HOME: Final = "/"
# What a link for somebody leads to.
PAGES: Final = {LinkKind.INVITE: "invitation", LinkKind.RESET: "new-password"}


class DeadLink(Refusal):
    """The link was used, has run out, was replaced, or never was one."""

    status = 410

    def __init__(self) -> None:
        super().__init__("This link no longer works.")


def digest(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def owner(token: str) -> str:
    """Return the owner of the `once` tokens of the form that a link leads to."""
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


def address_of(link: Link) -> str:
    """The address that a person opens who was given this link."""
    page = PAGES[LinkKind(link.kind)]
    return f"{settings().base_url}/{page}?token={token_of(link)}"


def token_of(link: Link) -> str:
    """The token of a link for somebody: 256 bits that only the secret key can bring back."""
    page = PAGES[LinkKind(link.kind)]
    text = f"{page}:{link.public_id}:{link.expires_at.isoformat()}"
    mac = hmac.new(settings().secret_key.encode(), text.encode(), hashlib.sha256)
    return urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()


def start(link: Link, maker_id: int | None, now: datetime, lasts: timedelta = LASTS) -> None:
    """Give the link a token of its own, from `now` on; the one before is dead."""
    link.created_by_id = maker_id
    link.expires_at, link.shown_until = now + lasts, now + SHOWN
    link.token_hash = digest(token_of(link))


def shown_address(link: Link, actor: Actor, now: datetime) -> str | None:
    """The address, for its maker and for a quarter of an hour."""
    is_shown = link.shown_until is not None and now < link.shown_until
    mine = is_shown and link.created_by_id == actor.user_id
    # A changed secret key brings back another token, which would open nothing.
    return address_of(link) if mine and digest(token_of(link)) == link.token_hash else None


def is_asked_for() -> ColumnElement[bool]:
    """It is a link for a new password that a person asked for: nobody made it, nor is shown it."""
    nobodys = and_(Link.created_by_id.is_(None), Link.shown_until.is_(None))
    return and_(Link.kind == LinkKind.RESET, nobodys)


def forget_resets(current: Session, email: str) -> None:
    """Links for a new password that nobody has used: whoever has found the old one needs none."""
    wanted = (Link.kind == LinkKind.RESET, Link.email == email, Link.used_at.is_(None))
    current.execute(delete(Link).where(*wanted))


def revoke(current: Session, actor: Actor, user: User) -> None:
    """Delete what this person made and nobody has used, and what would let this person in.

    In the transaction that ends the sessions, after the user's row was locked: a link that was kept
    would open again when the account is enabled, or has its role again.
    """
    forget_resets(current, user.email)
    wanted = select(Link).where(Link.created_by_id == user.id, Link.used_at.is_(None))
    for link in current.scalars(wanted.order_by(Link.id).with_for_update()).all():
        if link.kind == LinkKind.INVITE:
            target = ("invitation", link.public_id, link.email or "")
            audit.record(current, actor, "person.invitation_cancelled", target=target)
        current.delete(link)


def forget_links(current: Session, user: User) -> None:
    """Every link that was for this person's address, also those that were used."""
    current.execute(delete(Link).where(func.lower(Link.email) == user.email.lower()))


def has_people(current: Session) -> bool:
    """Return whether anybody was ever made a user."""
    return current.execute(select(User.id).limit(1)).first() is not None


def read(kind: LinkKind, token: str) -> Link:
    """The link behind a token that still works. Raises `DeadLink`. Consumes nothing."""
    current = session()
    link = _find(current, kind, token)
    is_late = link is not None and kind is LinkKind.SETUP and has_people(current)
    if link is None or is_late or not _is_live(current, link):
        raise DeadLink
    return link


def is_over(current: Session, link: Link) -> bool:
    """Return whether it opens nothing any more: its time has passed, or its maker may no longer let
    people in."""
    if link.expires_at <= database_now(current.connection()):
        return True
    maker = current.get(User, link.created_by_id) if link.created_by_id else None
    return maker is not None and not (maker.is_active and allows(maker.role, "people.manage"))


def issued(kind: LinkKind, token: str) -> Link:
    """The link behind a token, used or not: nobody else makes us work. Raises `DeadLink`."""
    link = _find(session(), kind, token)
    if link is None:
        raise DeadLink
    return link


def hash_for(kind: LinkKind, token: str, password: str, email: str) -> str:
    """The hash of the password that a link is used with; empty for one that was used, so that it
    makes us work no more. Raises `DeadLink`, or a `Refusal` of the password."""
    if issued(kind, token).used_at is not None:
        return ""
    passwords.check(password, email)
    return passwords.hashed(password)


def use_once(token: str, once: UUID, verb: Callable[[], Admission]) -> Admission | None:
    """Let in by `verb`, which uses the link up; None where this form was sent before."""
    made: list[Admission] = []
    once_only(owner(token), once, lambda: made.append(verb()), lambda _: HOME)
    return made[0] if made else None


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
    return link.used_at is None and not is_over(current, link)
