"""Choose who gets emails when a webhook fails, at first its owner, and anyone who asks for them.

Each email has a link that ends the emails about its webhooks without signing in. Its token is
derived from the installation's secret key, the webhooks, and the person. The database does not
store it.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, literal, or_, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
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
# Webhooks in one email. Its link names all of them and has to fit into a header.
MOST_TOGETHER: Final = 20
ID: Final = r"[1-9]\d{0,9}"
TOKEN: Final = re.compile(rf"({ID}(?:_{ID}){{0,{MOST_TOGETHER - 1}}})-({ID})-[\w-]{{43}}", re.ASCII)


class DeadLink(Refusal):
    """A refusal of a link that is truncated or invalid, or has lost its person or webhook."""

    status = 410

    def __init__(self) -> None:
        super().__init__("This link no longer works.")


class Reason(StrEnum):
    """Reasons why a person gets emails about a webhook."""

    OWNER = "owner"
    STANDS_IN = "stands_in"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Emails:
    """The recipients of emails about a webhook.

    `is_on`: this person gets them. `stands_in`: administrators do, for lack of an owner. `others`:
    names of the other recipients.
    """

    is_on: bool
    stands_in: bool
    others: Sequence[str]


class Watched(NamedTuple):
    """A webhook about which a person gets emails. `stands_in`: for lack of an owner."""

    public_id: UUID
    name: str
    stands_in: bool


class Linked(NamedTuple):
    """The webhooks (public id, name) and the person of a link. `is_over`: the emails have ended."""

    webhooks: Sequence[tuple[UUID, str]]
    email: str
    is_over: bool


class Owner(NamedTuple):
    """A person who can own a webhook."""

    public_id: UUID
    name: str


def may_be_told() -> ColumnElement[bool]:
    """Return the condition of a user who can sign in and read deliveries."""
    return and_(User.is_active.is_(True), User.role.in_(sorted(PERMISSIONS[PERMISSION])))


def is_told() -> ColumnElement[bool]:
    """Return the condition of a row for a person who gets emails.

    Administrators who stand in for an owner get them only while there is none.
    """
    stands_in = and_(User.role == Role.ADMIN, ~_has_owner())
    return and_(Watch.is_on.is_(True), may_be_told(), or_(Watch.stands_in.is_(False), stands_in))


def choose(actor: Actor, public_id: UUID, *, is_on: bool) -> str:
    """Start or end this person's emails about a webhook. Return its name."""
    with writing() as current:
        user = require(current, actor, PERMISSION)
        if user is None:
            raise NotAllowed("The system gets no email.")
        webhook = find_webhook(current, public_id)
        _set(current, actor, webhook, user, is_on=is_on)
        return webhook.name


def end_all(actor: Actor) -> int:
    """End all of this person's emails about webhooks. Return the number of webhooks."""
    with writing() as current:
        user = require(current, actor, PERMISSION)
        if user is None:
            raise NotAllowed("The system gets no email.")
        _store_missing(current, User.id == user.id)
        query = _told().where(User.id == user.id).with_only_columns(Webhook.id)
        ids = current.scalars(query.order_by(Webhook.id)).all()
        for webhook_id in ids:
            _set(current, actor, current.get_one(Webhook, webhook_id), user, is_on=False)
        return len(ids)


def emails_about(actor: Actor, public_id: UUID) -> Emails:
    """Return the recipients of emails about a webhook."""
    rows = list(_who_is_told(Webhook.public_id == public_id))
    own_row = next((row for row in rows if row.user_id == actor.user_id), None)
    others = [row.person for row in rows if row is not own_row]
    return Emails(
        own_row is not None, any(row.stands_in for row in rows), sorted(others, key=str.lower)
    )


def reason_of(webhook: Webhook, watch: Watch) -> Reason:
    if watch.stands_in:
        return Reason.STANDS_IN
    return Reason.OWNER if webhook.owner_id == watch.user_id else Reason.ASKED


def watched_by(actor: Actor) -> list[Watched]:
    """Return the webhooks about which this person gets emails, the first `MOST_LISTED` by name."""
    rows = _who_is_told(User.id == actor.user_id)
    watched = [Watched(row.public_id, row.name, row.stands_in) for row in rows]
    return sorted(watched, key=lambda each: each.name.lower())[:MOST_LISTED]


def link_of(webhook_ids: Sequence[int], user_id: int) -> str:
    """Return the URL at which this person ends the emails about these webhooks."""
    return f"{settings().base_url}{PAGE}?token={_token(webhook_ids, user_id)}"


def read_link(token: str) -> Linked:
    """Return the webhooks and person of a link. Raises `DeadLink`. Changes nothing."""
    current = session()
    webhooks, user = _of_token(current, token)
    rows = [current.get(Watch, (webhook.id, user.id)) for webhook in webhooks]
    is_over = all(row is not None and not row.is_on for row in rows)
    return Linked([(each.public_id, each.name) for each in webhooks], user.email, is_over)


def end_by_link(token: str) -> Linked:
    """End the emails about a link's webhooks. Idempotent. Raises `DeadLink`."""
    with writing() as current:
        webhooks, user = _of_token(current, token)
        current.refresh(user, with_for_update={"read": True})
        for webhook in sorted(webhooks, key=lambda each: each.id):
            _set(current, NOBODY, webhook, user, is_on=False)
    return read_link(token)


def set_owner(current: Session, webhook: Webhook, owner: UUID | None) -> Changes:
    """Make this person the owner of a locked webhook. None changes nothing.

    The owner gets its emails in place of the previous one. Returns the changes for the audit trail.
    Raises `Refusal` if the person can't sign in.
    """
    if owner is None:
        return {}
    query = select(User).where(User.public_id == owner, may_be_told())
    user = current.scalars(query.with_for_update(read=True)).one_or_none()
    if user is None:
        raise Refusal(CANT_OWN, field="owner_id")
    if webhook.owner_id == user.id:
        return {}
    before = current.get(User, webhook.owner_id) if webhook.owner_id else None
    conditions = Watch.webhook_id == webhook.id, Watch.user_id == webhook.owner_id
    current.execute(delete(Watch).where(*conditions))
    webhook.owner_id = user.id
    start_for_owner(current, webhook)
    return {"owner": {"from": before.name if before else None, "to": user.name}}


def owners() -> list[Owner]:
    """Return everyone who can own a webhook, by name."""
    query = select(User.public_id, User.name).where(may_be_told())
    rows = session().execute(query.order_by(func.lower(User.name), User.id))
    return [Owner(*row) for row in rows]


def owner_of(webhook: Webhook) -> Owner | None:
    """Return the owner, or None if that person can't sign in any more.

    In that case administrators get the emails.
    """
    query = select(User.public_id, User.name).where(User.id == webhook.owner_id, may_be_told())
    row = session().execute(query).one_or_none()
    return Owner(*row) if row else None


def start_for_owner(current: Session, webhook: Webhook) -> None:
    """Start the emails to the owner of a stored webhook, if it has one."""
    if webhook.owner_id is not None:
        watch = _row(current, webhook.id, webhook.owner_id)
        watch.is_on, watch.stands_in = True, False


def stand_in() -> None:
    """Start the emails to every administrator about webhooks without an owner.

    Skips administrators who ended theirs.
    """
    if session().execute(_missing().limit(1)).first() is not None:
        with writing() as current:
            _store_missing(current)


def forget(current: Session, user_id: int) -> None:
    """End all emails of this person, in the transaction that removes the account."""
    current.execute(delete(Watch).where(Watch.user_id == user_id))


def forget_webhook(current: Session, webhook_id: int) -> None:
    """End everyone's emails about a deleted webhook."""
    current.execute(delete(Watch).where(Watch.webhook_id == webhook_id))


def _set(current: Session, actor: Actor, webhook: Webhook, user: User, *, is_on: bool) -> None:
    _store_missing(current, Webhook.id == webhook.id, User.id == user.id)
    watch = _row(current, webhook.id, user.id)
    if watch.is_on != is_on or watch.stands_in:
        watch.is_on, watch.stands_in = is_on, False
        action = f"person.webhook_emails_{'started' if is_on else 'ended'}"
        audit.record_person(current, actor, action, user, webhook=(None, webhook.name))


def _row(current: Session, webhook_id: int, user_id: int) -> Watch:
    """Lock and return the row of this person. Create it, turned off, if there is none."""
    make = insert_or_ignore(current.connection())(Watch)
    row = make.values(webhook_id=webhook_id, user_id=user_id, is_on=False)
    current.execute(row.on_conflict_do_nothing())
    key = {"webhook_id": webhook_id, "user_id": user_id}
    return current.get_one(Watch, key, with_for_update=True, populate_existing=True)


def _has_owner() -> ColumnElement[bool]:
    owner = User.__table__.alias("owners")
    return exists().where(
        owner.c.id == Webhook.owner_id,
        owner.c.is_active.is_(True),
        owner.c.role.in_(sorted(PERMISSIONS[PERMISSION])),
    )


def _told() -> Select[*tuple[Any, ...]]:
    """Select the rows for people who get emails."""
    rows = select(Watch).join(User, User.id == Watch.user_id)
    return rows.join(Webhook, Webhook.id == Watch.webhook_id).where(*is_shown(), is_told())


def _missing() -> Select[*tuple[Any, ...]]:
    """Select the administrators who should stand in for an owner but have no row yet."""
    is_known = exists().where(Watch.webhook_id == Webhook.id, Watch.user_id == User.id)
    is_admin = and_(User.role == Role.ADMIN, may_be_told())
    pairs = select(Webhook.id, User.id).select_from(Webhook).join(User, is_admin)
    return pairs.where(*is_shown(), ~_has_owner(), ~is_known)


def _store_missing(current: Session, *narrowed: ColumnElement[bool]) -> None:
    yes = literal(True)
    rows = _missing().where(*narrowed)
    rows = rows.with_only_columns(Webhook.id, User.id, yes, yes.label("stands_in"))
    make = insert_or_ignore(current.connection())(Watch)
    names = ("webhook_id", "user_id", "is_on", "stands_in")
    current.execute(make.from_select(names, rows).on_conflict_do_nothing())


def _who_is_told(narrowed: ColumnElement[bool]) -> Iterator[AnyRow]:
    """Yield a row for each webhook and recipient."""
    columns = (
        Webhook.public_id,
        Webhook.name,
        User.id.label("user_id"),
        User.name.label("person"),
    )
    for statement, stands_in in ((_told(), Watch.stands_in), (_missing(), literal(True))):
        query = statement.where(narrowed).with_only_columns(*columns, stands_in.label("stands_in"))
        yield from session().execute(query)


def _token(webhook_ids: Sequence[int], user_id: int) -> str:
    ids = "_".join(map(str, webhook_ids))
    text = f"unsubscribe:{ids}:{user_id}"
    mac = hmac.new(settings().secret_key.encode(), text.encode(), hashlib.sha256)
    end = urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()
    return f"{ids}-{user_id}-{end}"


def _of_token(current: Session, token: str) -> tuple[list[Webhook], User]:
    """Return the remaining webhooks of a link, and its person.

    A forged link is refused without reading a row.
    """
    parts = TOKEN.fullmatch(token)
    if parts is None:
        raise DeadLink
    ids, user_id = [int(each) for each in parts[1].split("_")], int(parts[2])
    if not hmac.compare_digest(_token(ids, user_id), token):
        raise DeadLink
    rows = [current.get(Webhook, webhook_id) for webhook_id in ids]
    webhooks = [each for each in rows if each is not None and not each.deleted_at]
    user = current.get(User, user_id)
    if not webhooks or user is None or not user.is_active:
        raise DeadLink
    return webhooks, user
