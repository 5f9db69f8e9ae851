"""Let a user choose a new password, by a one-time link from an administrator."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.engine.events.body import ActorKind, Origin
from portal.lib.ids import public_id as new_id
from portal.models.people import Link, LinkKind, User
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mails
from portal.services.people import (
    account_mails,
    accounts,
    link_mails,
    one_time_links,
    sessions,
    sign_in_throttle,
)
from portal.services.people.sessions import UNKNOWN_DEVICE, Admission

LASTS: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Offer:
    """An unused link. `address` is set for its maker only."""

    expires_at: datetime
    address: str | None


def offer(actor: Actor, public_id: UUID) -> None:
    """Create a link for this person, for one new password within 24 hours.

    It replaces an earlier one. The current password works until it is used. Raises `Refusal`.
    """
    with writing() as current:
        require(current, actor, "people.manage")
        user = accounts.find(current, public_id)
        if user.id == actor.user_id:
            raise Refusal("This is you. Change your password in your account.")
        _offer(current, actor, user)


def offer_by_email(actor: Actor, email: str) -> str:
    """Create a link for the command line. Return the link itself, to be printed once."""
    with writing() as current:
        require(current, actor, "people.manage")
        user = accounts.find_user(current, email)
        if user is None:
            raise Refusal("No account has this email address.")
        return one_time_links.address_of(_offer(current, actor, user))


def offered(actor: Actor, public_id: UUID) -> Offer | None:
    """Return the link that works for this person now, or None. Raises `NotFound`."""
    current = session()
    user = accounts.find(current, public_id)
    now = database_now(current.connection())
    query = _made(user).where(Link.expires_at > now)
    link = current.execute(query.order_by(Link.id.desc()).limit(1)).scalar_one_or_none()
    return Offer(link.expires_at, one_time_links.shown_address(link, actor, now)) if link else None


def hide(actor: Actor, public_id: UUID) -> None:
    """Hide the link, because it was copied."""
    with writing() as current:
        require(current, actor, "people.manage")
        for link in current.execute(_unused(accounts.find(current, public_id))).scalars():
            if link.created_by_id == actor.user_id:
                link.shown_until = None


def send(actor: Actor, public_id: UUID) -> str:
    """Email this person's working link to them, and return the address."""
    with writing() as current:
        require(current, actor, "people.manage")
        user = accounts.find(current, public_id)
        link = current.scalars(_made(user).order_by(Link.id.desc()).limit(1)).one_or_none()
        if link is None:
            raise Refusal("There’s no unused link. Create one.")
        link_mails.send(current, link)
        audit.record_person(current, actor, "person.new_password_emailed", user)
        return user.email


def use(
    token: str,
    once: UUID,
    password: str,
    address: str | None = None,
    device: str = UNKNOWN_DEVICE,
) -> Admission | None:
    """Store the new password, end the person's sessions and known browsers, and consume the link.

    Forgives their attempts from this network (`address`). Begins a session, or returns None to the
    second of two equal forms, which has no effect. Raises `DeadLink`, or a `Refusal` of the
    password.
    """
    email = one_time_links.issued(LinkKind.RESET, token).email or ""
    password_hash = one_time_links.hash_for(LinkKind.RESET, token, password, email)
    return one_time_links.use_once(
        token, once, lambda: _use(token, email, password_hash, address, device)
    )


def _offer(current: Session, actor: Actor, user: User) -> Link:
    if not user.is_active:
        raise Refusal(f"{user.name} can’t sign in. Enable them first.")
    current.execute(delete(Link).where(Link.id.in_(_unused(user).with_only_columns(Link.id))))
    link = Link(public_id=new_id(), kind=LinkKind.RESET, email=user.email, role=user.role)
    one_time_links.start(link, actor.user_id, database_time(current), LASTS)
    current.add(link)
    audit.record_person(current, actor, "person.new_password_offered", user)
    return link


def _use(token: str, email: str, password_hash: str, address: str | None, device: str) -> Admission:
    with writing() as current:
        # Lock the person before the link, in the same order as disabling does.
        query = select(User).where(User.email == email).with_for_update(key_share=True)
        user = current.execute(query).scalar_one_or_none()
        one_time_links.consume(current, LinkKind.RESET, token)
        if user is None or not user.is_active:
            raise one_time_links.DeadLink
        user.password_hash = password_hash
        sessions.cut_off(current, user)
        actor = Actor(ActorKind.USER, user.id, user.name, Origin.UI)
        by = "a link for a new password"
        audit.record_person(current, actor, "person.password_changed", user, by=(None, by))
        mails.write(current, account_mails.CHANGED, user_id=user.id)
        one_time_links.revoke(current, actor, user)
        network = sign_in_throttle.network_of(address)
        sign_in_throttle.forgive(sign_in_throttle.for_pair(email, network))
        return sessions.begin(current, user, device)


def _made(user: User) -> Select[Link]:
    """Select unused links that others made for them, without those they requested themselves."""
    return _unused(user).where(~one_time_links.is_asked_for())


def _unused(user: User) -> Select[Link]:
    return select(Link).where(
        Link.kind == LinkKind.RESET, Link.email == user.email, Link.used_at.is_(None)
    )
