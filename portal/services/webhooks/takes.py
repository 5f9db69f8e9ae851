"""Take a webhook in trouble or hand it over, so that others see who is looking into it.

A take is shown while the webhook is in trouble, and ends by itself soon after.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.audit import AuditEntry
from portal.models.mails import Mail
from portal.models.people import User
from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core.permissions import PERMISSIONS, SYSTEM, Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.time_zones import moment_words
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mails
from portal.services.mail.mailer import Letter
from portal.services.mail.mails import Writer
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks import notices
from portal.services.webhooks.backlog import Taken, taken_of
from portal.services.webhooks.notes import note_of
from portal.services.webhooks.rows import TARGET, is_shown, lock_webhook, target_of

PERMISSION: Final = "deliveries.retry"
IS_WELL: Final = "This webhook isn’t failing now."
IS_FREE: Final = "No one has taken this webhook now. You can take it."
CHOOSE: Final = "Choose a colleague"
HANDED_OVER: Final = "webhook.handed_over"  # in the audit trail
MAIL: Final = "handed_over"


class TakenByOther(Refusal):
    """A refusal because another person took the webhook, which the actor had not seen."""

    def __init__(self, taken: Taken) -> None:
        super().__init__(f"{taken.by} has taken this webhook. You can take it over.")


def take(actor: Actor, public_id: UUID, seen: datetime | None = None) -> str:
    """Record who is looking into a webhook's failures, and return its name. Raises `Refusal`.

    `seen`: the time of another person's take that is taken over.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        webhook = lock_webhook(current, public_id)
        if backlogs.of_one(current, webhook.id) is None:
            raise Refusal(IS_WELL)
        taken = taken_of(webhook)
        if taken and taken.by_id == actor.user_id:
            return webhook.name
        if taken and taken.at != seen:
            raise TakenByOther(taken)
        webhook.taken_by, webhook.taken_by_id = actor.name, actor.user_id
        webhook.taken_at = database_time(current)
        audit.record(current, actor, "webhook.taken", target=target_of(webhook))
        return webhook.name


def release(actor: Actor, public_id: UUID) -> str:
    """Record that the actor is no longer looking into it, and return the webhook's name.

    Raises `Refusal` if another person took it. Changes nothing if nobody did.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        webhook = lock_webhook(current, public_id)
        taken = taken_of(webhook)
        if taken and taken.by_id != actor.user_id:
            raise TakenByOther(taken)
        if taken:
            _forget(current, actor, "released", webhook)
        return webhook.name


class Colleague(NamedTuple):
    """A person who can take webhooks."""

    public_id: UUID
    name: str


class Handover(NamedTuple):
    """The names of a webhook and of the person who has it now, and whether we email them."""

    webhook: str
    person: str
    is_mailed: bool


def colleagues(actor: Actor, taken: Taken) -> Sequence[Colleague]:
    """Return everyone to whom the actor can hand over a taken webhook, by name."""
    others = select(User.public_id, User.name).where(
        _may_take(), User.id.not_in([actor.user_id, taken.by_id])
    )
    rows = session().execute(others.order_by(func.lower(User.name), User.id))
    return [Colleague(*row) for row in rows]


def hand_over(actor: Actor, public_id: UUID, to: UUID | None, seen: datetime | None) -> Handover:
    """Give a taken webhook to a colleague, and email them. Raises `Refusal`.

    `seen`: the time of the take that the actor has seen.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        webhook = lock_webhook(current, public_id)
        if backlogs.of_one(current, webhook.id) is None:
            raise Refusal(IS_WELL)
        taken = taken_of(webhook)
        if taken is None:
            raise Refusal(IS_FREE)
        if taken.at != seen:
            raise TakenByOther(taken)
        user = _colleague(current, actor, to)
        if user.id == taken.by_id:
            raise Refusal(f"Choose someone else. {user.name} already has it", field="to")
        webhook.taken_by, webhook.taken_by_id = user.name, user.id
        webhook.taken_at = database_time(current)
        changes = audit.from_to(taken_by=(taken.by, user.name))
        audit.record(current, actor, HANDED_OVER, target=target_of(webhook), changes=changes)
        mails.write(current, MAIL, user_id=user.id, webhook_id=webhook.id)
        return Handover(webhook.name, user.name, mails.is_on())


def _may_take() -> ColumnElement[bool]:
    return and_(User.is_active.is_(True), User.role.in_(sorted(PERMISSIONS[PERMISSION])))


def _colleague(current: Session, actor: Actor, public_id: UUID | None) -> User:
    """Lock and return another person who can take webhooks. Raises `Refusal`."""
    query = select(User).where(User.public_id == public_id, User.id != actor.user_id)
    user = current.scalars(query.with_for_update(read=True)).one_or_none()
    if user is None:
        raise Refusal(CHOOSE, field="to")
    if current.scalar(select(User.id).where(User.id == user.id, _may_take())) is None:
        refused = f"Choose someone else. {user.name} can no longer sign in or retry deliveries"
        raise Refusal(refused, field="to")
    return user


def write(current: Session, mail: Mail, zone: ZoneInfo) -> Letter | None:
    """Write the email to a person who got a webhook, or return None if they no longer have it."""
    webhook = current.get_one(Webhook, mail.webhook_id)
    backlog = backlogs.of_one(current, webhook.id)
    has_it = webhook.taken_by_id == mail.user_id and webhook.taken_at == mail.created_at
    if backlog is None or webhook.deleted_at or not has_it:
        return None
    about = AuditEntry.target_kind == TARGET, AuditEntry.target_id == str(webhook.public_id)
    by = select(AuditEntry.actor_name).where(*about, AuditEntry.action == HANDED_OVER)
    giver = current.scalar(by.order_by(AuditEntry.id.desc()).limit(1)) or "A colleague"
    name, note = " ".join(webhook.name.split()), note_of(webhook)
    parts = [f"{giver} handed over the webhook “{name}” to you. Everyone sees that you have it."]
    parts.append(notices.trouble_words(backlog, zone))
    if note:
        at = f"{moment_words(note.at, zone)} ({zone.key})"
        parts.append(f"Note by {note.by}, {at}:\n{note.text}")
    page = f"{settings().base_url}/settings/webhooks/{webhook.public_id}"
    parts.append(f"View the cause and next steps:\n{page}\n")
    return Letter(f"{giver} handed over {name} to you", "\n\n".join(parts))


WRITERS: Final[Mapping[str, Writer]] = {MAIL: write}


def end() -> None:
    """End the takes of webhooks that are no longer in trouble."""
    taken = select(Webhook.public_id).where(Webhook.taken_at.is_not(None), *is_shown())
    for public_id in session().scalars(taken.order_by(Webhook.id)).all():
        with suppress(NotFound), writing() as current:
            webhook = lock_webhook(current, public_id)
            is_well = backlogs.of_one(current, webhook.id) is None
            if webhook.taken_at is not None and is_well:
                _forget(current, SYSTEM, "take_ended", webhook)


def _forget(current: Session, actor: Actor, verb: str, webhook: Webhook) -> None:
    webhook.taken_by = webhook.taken_by_id = webhook.taken_at = None
    audit.record(current, actor, f"webhook.{verb}", target=target_of(webhook))
