"""Make one-time links for setup, invitations, and new passwords. The database stores hashes.

The token of a personal link is derived from the installation's secret key, the link's id, and its
end. Its page can therefore show it, and no table, session, flash, or redirect stores it.
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
# Time in which its maker can see a link. After that, they create a new one.
SHOWN: Final = timedelta(minutes=15)
HOME: Final = "/"
# kind → page of a personal link
PAGES: Final = {LinkKind.INVITE: "invitation", LinkKind.RESET: "new-password"}


class DeadLink(Refusal):
    """The link was used, expired, was replaced, or never existed."""

    status = 410

    def __init__(self) -> None:
        super().__init__("This link no longer works.")


def digest(token: str) -> str:
    """Return the hash of a token, for the database."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def owner(token: str) -> str:
    """Return the owner of `once` tokens in the form behind a link."""
    return f"link:{digest(token)}"


def setup_link() -> str | None:
    """Return a new link to create the first administrator, or None if there are users.

    Earlier links work until then, because several machines can start at once.
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
    """Return the URL of a personal link."""
    page = PAGES[LinkKind(link.kind)]
    return f"{settings().base_url}/{page}?token={token_of(link)}"


def token_of(link: Link) -> str:
    """Derive the token of a personal link, 256 bits that require the secret key."""
    page = PAGES[LinkKind(link.kind)]
    text = f"{page}:{link.public_id}:{link.expires_at.isoformat()}"
    mac = hmac.new(settings().secret_key.encode(), text.encode(), hashlib.sha256)
    return urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()


def start(link: Link, maker_id: int | None, now: datetime, lasts: timedelta = LASTS) -> None:
    """Give the link a new token from `now` on. The one before stops working."""
    link.created_by_id = maker_id
    link.expires_at, link.shown_until = now + lasts, now + SHOWN
    link.token_hash = digest(token_of(link))


def shown_address(link: Link, actor: Actor, now: datetime) -> str | None:
    """Return the URL for its maker, for 15 minutes."""
    is_shown = link.shown_until is not None and now < link.shown_until
    mine = is_shown and link.created_by_id == actor.user_id
    return address_of(link) if mine and has_token(link) else None


def has_token(link: Link) -> bool:
    """Return whether the derived token is the stored one, as it is until the secret key changes."""
    return digest(token_of(link)) == link.token_hash


def is_asked_for() -> ColumnElement[bool]:
    """Match links for a new password that have no maker, because the person requested them."""
    nobodys = and_(Link.created_by_id.is_(None), Link.shown_until.is_(None))
    return and_(Link.kind == LinkKind.RESET, nobodys)


def forget_resets(current: Session, email: str) -> None:
    """Delete unused links for a new password. A person who found the old one needs none."""
    conditions = (Link.kind == LinkKind.RESET, Link.email == email, Link.used_at.is_(None))
    current.execute(delete(Link).where(*conditions))


def revoke(current: Session, actor: Actor, user: User) -> None:
    """Delete unused links that this person made, and those that would let this person in.

    Runs in the transaction that ends the sessions, after the user's row was locked. A link that is
    kept would work again when the account is enabled, or gets its role back.
    """
    forget_resets(current, user.email)
    query = select(Link).where(Link.created_by_id == user.id, Link.used_at.is_(None))
    for link in current.scalars(query.order_by(Link.id).with_for_update()).all():
        if link.kind == LinkKind.INVITE:
            target = ("invitation", link.public_id, link.email or "")
            audit.record(current, actor, "person.invitation_cancelled", target=target)
        current.delete(link)


def forget_links(current: Session, user: User) -> None:
    """Delete every link for this person's address, including used ones."""
    current.execute(delete(Link).where(func.lower(Link.email) == user.email.lower()))


def has_people(current: Session) -> bool:
    """Return whether there was ever a user."""
    return current.execute(select(User.id).limit(1)).first() is not None


def read(kind: LinkKind, token: str) -> Link:
    """Return the link behind a token that still works. Raises `DeadLink`. Consumes nothing."""
    current = session()
    link = _find(current, kind, token)
    is_late = link is not None and kind is LinkKind.SETUP and has_people(current)
    if link is None or is_late or not _is_live(current, link):
        raise DeadLink
    return link


def is_over(current: Session, link: Link) -> bool:
    """Return whether the link has expired, or its maker can no longer let people in."""
    if link.expires_at <= database_now(current.connection()):
        return True
    maker = current.get(User, link.created_by_id) if link.created_by_id else None
    return maker is not None and not (maker.is_active and allows(maker.role, "people.manage"))


def issued(kind: LinkKind, token: str) -> Link:
    """Return the link behind a token, used or not. Raises `DeadLink` before slow work."""
    link = _find(session(), kind, token)
    if link is None:
        raise DeadLink
    return link


def hash_for(kind: LinkKind, token: str, password: str, email: str) -> str:
    """Return the hash of the password that is sent with a link.

    It is "" for a used link, which must cost no more work. Raises `DeadLink`, or a `Refusal` of the
    password.
    """
    if issued(kind, token).used_at is not None:
        return ""
    passwords.check(password, email)
    return passwords.hashed(password)


def use_once(token: str, once: UUID, verb: Callable[[], Admission]) -> Admission | None:
    """Run `verb`, which consumes the link. Return None if this form was sent before."""
    made: list[Admission] = []
    once_only(owner(token), once, lambda: made.append(verb()), lambda _: HOME)
    return made[0] if made else None


def consume(current: Session, kind: LinkKind, token: str) -> Link:
    """Consume the link, in the caller's transaction. Raises `DeadLink`.

    All setup links are locked in one order, so that only one of two creates an administrator.
    """
    query = select(Link).where(Link.kind == kind).order_by(Link.id).with_for_update()
    if kind is not LinkKind.SETUP:
        query = query.where(Link.token_hash == digest(token))
    links = [link for link in current.execute(query).scalars() if link.token_hash == digest(token)]
    is_late = kind is LinkKind.SETUP and has_people(current)
    if not links or is_late or not _is_live(current, links[0]):
        raise DeadLink
    links[0].used_at = database_time(current)
    return links[0]


def _find(current: Session, kind: LinkKind, token: str) -> Link | None:
    query = select(Link).where(Link.kind == kind, Link.token_hash == digest(token))
    return current.execute(query).scalar_one_or_none()


def _is_live(current: Session, link: Link) -> bool:
    return link.used_at is None and not is_over(current, link)
