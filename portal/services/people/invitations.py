"""Invite people to a role, by a one-time link."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.lib.ids import public_id as new_id
from portal.lib.typed_values import tidy_email
from portal.models.audit import AuditEntry
from portal.models.mails import Mail
from portal.models.people import Link, LinkKind, Role
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.time_zones import refuse_unknown_zone
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.people import link_mails, one_time_links, sessions
from portal.services.people.accounts import add_user, find_user
from portal.services.people.sessions import UNKNOWN_DEVICE, Admission

EMAILED: Final = "person.invitation_emailed"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that no one has accepted yet. `address` is set for its maker only.

    `emailed_at` is when a person had the link emailed. `is_on_its_way` means it isn't sent yet.
    """

    public_id: UUID
    email: str
    role: str
    expires_at: datetime
    is_over: bool
    address: str | None = None
    emailed_at: datetime | None = None
    is_on_its_way: bool = False


class InvitationOver(NotFound):
    """The invitation was accepted or canceled."""


def invite(actor: Actor, email: str, role: Role) -> UUID:
    """Store an invitation for 7 days. Return its public id, whose page shows the link."""
    return _invite(actor, email, role).public_id


def invitation_link(actor: Actor, email: str, role: Role) -> str:
    """Store an invitation for 7 days. Return the link itself, to be printed once."""
    return one_time_links.address_of(_invite(actor, email, role))


def open_invitations() -> list[Invitation]:
    """Return every invitation that wasn't accepted, newest first."""
    current = session()
    query = select(Link).where(Link.kind == LinkKind.INVITE, Link.used_at.is_(None))
    links = current.execute(query.order_by(Link.id.desc())).scalars()
    return [_invitation(current, link) for link in links]


def invitation(actor: Actor, public_id: UUID) -> Invitation:
    """Return an invitation, with the link while its maker can see it. Raises `NotFound`."""
    current = session()
    link = _open(current, public_id, lock=False)
    now = database_now(current.connection())
    shown = _invitation(current, link, one_time_links.shown_address(link, actor, now))
    unsent = select(Mail.id).where(Mail.link_id == link.id, Mail.sent_at.is_(None))
    is_on_its_way = current.execute(unsent.limit(1)).first() is not None
    return replace(shown, emailed_at=_emailed_at(current, link), is_on_its_way=is_on_its_way)


def hide(actor: Actor, public_id: UUID) -> None:
    """Hide the link, because it was copied."""
    with writing() as current:
        require(current, actor, "people.manage")
        link = _open(current, public_id)
        if link.created_by_id == actor.user_id:
            link.shown_until = None


def send(actor: Actor, public_id: UUID) -> str:
    """Email the link to the invited person, and return the address."""
    with writing() as current:
        require(current, actor, "people.manage")
        link = _open(current, public_id)
        link_mails.send(current, link)
        target = ("invitation", link.public_id, link.email or "")
        audit.record(current, actor, EMAILED, target=target)
        return link.email or ""


def renew(actor: Actor, public_id: UUID) -> None:
    """Replace the link with a new one for 7 days. The one before stops working."""
    with writing() as current:
        require(current, actor, "people.manage")
        link = _open(current, public_id)
        one_time_links.start(link, actor.user_id, database_time(current))
        target = ("invitation", link.public_id, link.email or "")
        audit.record(current, actor, "person.invited_again", target=target)


def cancel(actor: Actor, public_id: UUID) -> None:
    """Cancel the invitation, so that its link stops working."""
    with writing() as current:
        require(current, actor, "people.manage")
        link = _open(current, public_id)
        target = ("invitation", link.public_id, link.email or "")
        audit.record(current, actor, "person.invitation_cancelled", target=target)
        current.execute(delete(Link).where(Link.id == link.id))


def _invite(actor: Actor, email: str, role: Role) -> Link:
    email = tidy_email(email)
    with writing() as current:
        require(current, actor, "people.manage")
        _refuse_known(current, email)
        link = Link(public_id=new_id(), kind=LinkKind.INVITE, email=email, role=role, token_hash="")
        one_time_links.start(link, actor.user_id, database_time(current))
        current.add(link)
        changes = {"role": {"from": None, "to": role}}
        target = ("invitation", link.public_id, email)
        audit.record(current, actor, "person.invited", target=target, changes=changes)
        return link


def _refuse_known(current: Session, email: str) -> None:
    user = find_user(current, email)
    if user is not None:
        raise Refusal(f"{user.name} already has an account with this email address.", field="email")
    query = select(Link.id).where(
        Link.kind == LinkKind.INVITE, Link.email == email, Link.used_at.is_(None)
    )
    if current.execute(query).first() is not None:
        raise Refusal(
            "This email address is already invited. Open the invitation to create a new link.",
            field="email",
        )


def _open(current: Session, public_id: UUID, *, lock: bool = True) -> Link:
    query = select(Link).where(Link.public_id == public_id, Link.kind == LinkKind.INVITE)
    query = query.with_for_update() if lock else query
    link = current.execute(query).scalar_one_or_none()
    if link is None and _last_entry(current, public_id):
        raise InvitationOver("This invitation was canceled.")
    if link is None:
        raise NotFound("There’s no such invitation.")
    if link.used_at:
        raise InvitationOver(f"{link.email} accepted this invitation.")
    return link


def _emailed_at(current: Session, link: Link) -> datetime | None:
    """Return when the current link was last emailed, or None."""
    last = _last_entry(current, link.public_id)
    return last.at if last and last.action == EMAILED else None


def _last_entry(current: Session, public_id: UUID) -> AuditEntry | None:
    query = select(AuditEntry).where(
        AuditEntry.target_kind == "invitation", AuditEntry.target_id == str(public_id)
    )
    return current.scalars(query.order_by(AuditEntry.id.desc()).limit(1)).one_or_none()


def _invitation(current: Session, link: Link, address: str | None = None) -> Invitation:
    is_over = one_time_links.is_over(current, link)
    return Invitation(
        link.public_id, link.email or "", link.role, link.expires_at, is_over, address
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """A person's details on joining. For an invitation, `email` must be the invited address.

    `time_zone` is None for the portal's.
    """

    name: str
    email: str
    password: str = field(repr=False)
    time_zone: str | None = None


def set_up(
    token: str, once: UUID, values: NewPerson, device: str = UNKNOWN_DEVICE
) -> Admission | None:
    """Create the first administrator, sign them in, and consume the setup link.

    A form that is sent twice gets None the second time, and no session. Raises `DeadLink`.
    """
    return _join(LinkKind.SETUP, token, once, values, device)


def accept(
    token: str, once: UUID, values: NewPerson, device: str = UNKNOWN_DEVICE
) -> Admission | None:
    """Make the invited person a user, sign them in, and consume the invitation.

    A form that is sent twice gets None the second time. Raises `DeadLink`.
    """
    return _join(LinkKind.INVITE, token, once, values, device)


def _join(
    kind: LinkKind, token: str, once: UUID, values: NewPerson, device: str
) -> Admission | None:
    refuse_unknown_zone(values.time_zone)
    password_hash = one_time_links.hash_for(kind, token, values.password, values.email)
    return one_time_links.use_once(
        token, once, lambda: _use(kind, token, values, password_hash, device)
    )


def _use(
    kind: LinkKind, token: str, values: NewPerson, password_hash: str, device: str
) -> Admission:
    with writing() as current:
        link = one_time_links.consume(current, kind, token)
        if link.email is not None and link.email != tidy_email(values.email):
            raise one_time_links.DeadLink
        user = add_user(
            current,
            name=values.name,
            email=values.email,
            password_hash=password_hash,
            role=Role(link.role),
            by=None,
            time_zone=values.time_zone,
        )
        return sessions.begin(current, user, device)
