"""Choose who is told by email when a webhook fails: its owner at first, and whoever asks for it.

Each email has a link with which its reader ends these emails, about this webhook, without signing
in. Its token follows from the installation's secret key, the webhook, and the person; the database
keeps none.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, literal, select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.people import Role, User
from portal.models.webhooks import Watch, Webhook
from portal.services import audit
from portal.services.core.permissions import NOBODY, PERMISSIONS, Actor, require
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import insert_or_ignore, session, writing
from portal.services.webhooks.rows import find_webhook, is_shown

Changes = dict[str, Any]

PERMISSION: Final = "deliveries.read"
CANT_OWN: Final = "Choose someone who can sign in"
MOST_LISTED: Final = 100
PAGE: Final = "/unsubscribe"
TOKEN: Final = re.compile(r"([1-9]\d{0,9})-([1-9]\d{0,9})-([\w-]{43})", re.ASCII)


class DeadLink(Refusal):
    """The link was cut off or never was one, or its person or webhook is gone."""

    status = 410

    def __init__(self) -> None:
        super().__init__("This link no longer works.")


class Reason(StrEnum):
    """Why a person gets emails about a webhook."""

    OWNER = "owner"
    STANDS_IN = "stands_in"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Emails:
    """Whether this person gets emails about a webhook, and how many others do."""

    is_on: bool
    others: int


class Watched(NamedTuple):
    """A webhook about which a person gets emails."""

    public_id: UUID
    name: str


class Owner(NamedTuple):
    """A person who can own a webhook."""

    public_id: UUID
    name: str


def may_be_told() -> ColumnElement[bool]:
    """Return the condition of a user who can sign in and read deliveries."""
    return and_(User.is_active.is_(True), User.role.in_(sorted(PERMISSIONS[PERMISSION])))


def choose(actor: Actor, public_id: UUID, *, is_on: bool) -> str:
    """Begin or end this person's emails about a webhook; return its name."""
    with writing() as current:
        user = require(current, actor, PERMISSION)
        if user is None:
            raise NotAllowed("The system gets no email.")
        webhook = find_webhook(current, public_id)
        _set(current, actor, webhook, user, is_on=is_on)
        return webhook.name


def emails_about(actor: Actor, public_id: UUID) -> Emails:
    """Return who gets emails about a webhook."""
    current = session()
    of_webhook = _told().where(Webhook.public_id == public_id)
    ids = set(current.scalars(of_webhook.with_only_columns(User.id)))
    return Emails(actor.user_id in ids, len(ids - {actor.user_id}))


def reason_of(current: Session, webhook: Webhook, user_id: int) -> Reason:
    """Return why this person gets emails about a webhook."""
    if webhook.owner_id == user_id:
        return Reason.OWNER
    here = select(User.id, User.role).where(User.id.in_((webhook.owner_id, user_id)), may_be_told())
    roles = {row.id: row.role for row in current.execute(here)}
    is_gone = webhook.owner_id not in roles
    return Reason.STANDS_IN if is_gone and roles.get(user_id) == Role.ADMIN else Reason.ASKED


def watched_by(actor: Actor) -> list[Watched]:
    """Return the webhooks about which this person gets emails, the first by name."""
    mine = _told().where(User.id == actor.user_id, *is_shown())
    named = mine.with_only_columns(Webhook.public_id, Webhook.name)
    rows = session().execute(named.order_by(func.lower(Webhook.name)).limit(MOST_LISTED))
    return [Watched(*row) for row in rows]


def link_of(webhook: Webhook, user_id: int) -> str:
    """Return the address at which this person ends the emails about this webhook."""
    return f"{settings().base_url}{PAGE}?token={_token(webhook.id, user_id)}"


def read_link(token: str) -> Watched:
    """Return what a link ends. Raises `DeadLink`. Changes nothing."""
    webhook, _user = _of_token(session(), token)
    return Watched(webhook.public_id, webhook.name)


def end_by_link(token: str) -> str:
    """End these emails; return the webhook's name. Done again, it changes nothing. Raises
    `DeadLink`."""
    with writing() as current:
        webhook, user = _of_token(current, token)
        current.refresh(user, with_for_update={"read": True})
        _set(current, NOBODY, webhook, user, is_on=False)
        return webhook.name


def set_owner(current: Session, webhook: Webhook, owner: UUID | None) -> Changes:
    """Make this person the owner of a locked webhook, who gets its emails in place of the one
    before; None changes nothing. Returns the changes for the audit trail. Raises `Refusal` where
    they can't sign in."""
    if owner is None:
        return {}
    found = select(User).where(User.public_id == owner, may_be_told())
    user = current.scalars(found.with_for_update(read=True)).one_or_none()
    if user is None:
        raise Refusal(CANT_OWN, field="owner_id")
    if webhook.owner_id == user.id:
        return {}
    before = current.get(User, webhook.owner_id) if webhook.owner_id else None
    theirs = Watch.webhook_id == webhook.id, Watch.user_id == webhook.owner_id
    current.execute(delete(Watch).where(*theirs))
    webhook.owner_id = user.id
    start_for_owner(current, webhook)
    return {"owner": {"from": before.name if before else None, "to": user.name}}


def owners() -> list[Owner]:
    """Return everyone who can own a webhook, by name."""
    wanted = select(User.public_id, User.name).where(may_be_told())
    rows = session().execute(wanted.order_by(func.lower(User.name), User.id))
    return [Owner(*row) for row in rows]


def owner_of(webhook: Webhook) -> Owner | None:
    """Return the owner; None where that person can't sign in any more, and administrators get the
    emails."""
    wanted = select(User.public_id, User.name).where(User.id == webhook.owner_id, may_be_told())
    row = session().execute(wanted).one_or_none()
    return Owner(*row) if row else None


def start_for_owner(current: Session, webhook: Webhook) -> None:
    """Begin the emails of the owner of a stored webhook, if it has one."""
    if webhook.owner_id is not None:
        _row(current, webhook.id, webhook.owner_id).is_on = True


def stand_in() -> None:
    """Begin the emails of every administrator about webhooks whose owner is gone, but for those who
    ended theirs."""
    owner = User.__table__.alias("owners")
    has_owner = exists().where(
        owner.c.id == Webhook.owner_id,
        owner.c.is_active.is_(True),
        owner.c.role.in_(sorted(PERMISSIONS[PERMISSION])),
    )
    is_known = exists().where(Watch.webhook_id == Webhook.id, Watch.user_id == User.id)
    is_admin = and_(User.role == Role.ADMIN, may_be_told())
    pairs = select(Webhook.id, User.id, literal(True)).select_from(Webhook).join(User, is_admin)
    missing = pairs.where(*is_shown(), ~has_owner, ~is_known)
    if session().execute(missing.limit(1)).first() is None:
        return
    with writing() as current:
        make = insert_or_ignore(current.connection())(Watch)
        columns = ("webhook_id", "user_id", "is_on")
        current.execute(make.from_select(columns, missing).on_conflict_do_nothing())


def forget(current: Session, user_id: int) -> None:
    """End all emails of this person, in the transaction that takes their account away."""
    current.execute(delete(Watch).where(Watch.user_id == user_id))


def forget_webhook(current: Session, webhook_id: int) -> None:
    """End everyone's emails about a webhook that is deleted."""
    current.execute(delete(Watch).where(Watch.webhook_id == webhook_id))


def _set(current: Session, actor: Actor, webhook: Webhook, user: User, *, is_on: bool) -> None:
    watch = _row(current, webhook.id, user.id)
    if watch.is_on != is_on:
        watch.is_on = is_on
        action = f"person.webhook_emails_{'started' if is_on else 'ended'}"
        audit.record_person(current, actor, action, user, webhook=(None, webhook.name))


def _row(current: Session, webhook_id: int, user_id: int) -> Watch:
    """The row of this person, locked; made where there is none, and then it is off."""
    make = insert_or_ignore(current.connection())(Watch)
    row = make.values(webhook_id=webhook_id, user_id=user_id, is_on=False)
    current.execute(row.on_conflict_do_nothing())
    key = {"webhook_id": webhook_id, "user_id": user_id}
    return current.get_one(Watch, key, with_for_update=True, populate_existing=True)


def _told() -> Select[*tuple[Any, ...]]:
    """Who is told of which webhook."""
    rows = select(Watch).join(User, User.id == Watch.user_id)
    rows = rows.join(Webhook, Webhook.id == Watch.webhook_id)
    return rows.where(Watch.is_on.is_(True), may_be_told())


def _token(webhook_id: int, user_id: int) -> str:
    text = f"unsubscribe:{webhook_id}:{user_id}"
    mac = hmac.new(settings().secret_key.encode(), text.encode(), hashlib.sha256)
    end = urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()
    return f"{webhook_id}-{user_id}-{end}"


def _of_token(current: Session, token: str) -> tuple[Webhook, User]:
    """The webhook and the person of a link. One that nobody was sent reads no row."""
    parts = TOKEN.fullmatch(token)
    if parts is None:
        raise DeadLink
    webhook_id, user_id = int(parts[1]), int(parts[2])
    if not hmac.compare_digest(_token(webhook_id, user_id), token):
        raise DeadLink
    webhook = current.get(Webhook, webhook_id)
    user = current.get(User, user_id)
    if webhook is None or webhook.deleted_at or user is None or not user.is_active:
        raise DeadLink
    return webhook, user
