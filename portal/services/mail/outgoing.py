"""Send due emails, one after the other.

A process claims a row by moving its due time, so that only one process sends it. No transaction is
open during the sending. If the process dies, the email is due again a minute later. It can then be
sent twice, with the same Message-ID, but it is never lost.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.extensions import settings
from portal.models.assignments import Staff
from portal.models.mails import Mail
from portal.models.people import Link, User
from portal.services.core.permissions import Actor
from portal.services.core.time_zones import zone_of
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mailbox, mailer, mails
from portal.services.mail.mailer import Letter, MailFailed, Step
from portal.services.mail.mails import CLAIMED, TEST, TRIES, WAITS, Writer, is_waiting

log = logging.getLogger(__name__)

SECONDS: Final = 25.0  # no email starts after this
UNWRITTEN: Final = timedelta(minutes=30)  # between two attempts to write an email


@dataclass(frozen=True, slots=True)
class _Ready:
    """An email that is ready to send."""

    to: str
    letter: Letter
    number: UUID


class _UnknownKind(Exception):
    """The email is of a kind that only another version can write."""


def send_due(kinds: Mapping[str, Writer]) -> int:
    """Send all due emails and return their number. Safe to run concurrently.

    Ends within the time limit of a job, even if the mail server is slow. The next run continues.
    """
    mailbox.clear()
    sent, last_start = 0, monotonic() + SECONDS
    while monotonic() <= last_start and mails.has_due():
        mail_id = _claim()
        if mail_id is None:
            break
        try:
            ready = _write(mail_id, kinds)
        except _UnknownKind:
            log.warning("An email waits for a version that can write it.")
            _postpone(mail_id)
            continue
        except Exception as error:  # one email's error must not block the others
            log.exception("An email couldn’t be written. We’ll try again.")
            _note(mail_id, MailFailed(Step.TEXT, type(error).__name__))
            continue
        if ready is None:
            _delete(mail_id)
            continue
        try:
            if not mails.is_mailbox():
                mailer.send(settings(), ready.to, ready.letter, ready.number)
        except MailFailed as error:
            log.warning("An email was not sent. %s", error)
            _note(mail_id, error)
            if error.step in mailer.OF_SERVER:
                _wait()
        else:
            _end(mail_id, ready)
            sent += 1
    return sent


def _claim() -> int | None:
    with writing() as current:
        now = database_time(current)
        due = select(Mail).where(Mail.due_at <= now, is_waiting()).order_by(Mail.due_at, Mail.id)
        mail = current.scalars(due.limit(1).with_for_update(skip_locked=True)).one_or_none()
        if mail is None:
            return None
        mail.tries += 1
        mail.due_at = now + CLAIMED
        return mail.id


def _write(mail_id: int, kinds: Mapping[str, Writer]) -> _Ready | None:
    """Return None if the email was deleted, has no recipient, or has become obsolete.

    Raises `_UnknownKind`.
    """
    current = session()
    try:
        mail = current.get(Mail, mail_id)
        if mail is None:
            return None
        if mail.kind not in kinds:
            raise _UnknownKind
        to, zone = _reader(current, mail)
        letter = kinds[mail.kind](current, mail, zone) if to else None
        return _Ready(to, letter, mail.public_id) if letter else None
    finally:
        current.rollback()


def _reader(current: Session, mail: Mail) -> tuple[str, ZoneInfo]:
    """Return the reader's address and time zone.

    The address is "" if the person has left or can no longer sign in.
    """
    if mail.staff_id is not None:
        staff = current.get(Staff, mail.staff_id)
        return staff.email if staff and staff.is_active else "", settings().timezone
    link = current.get(Link, mail.link_id) if mail.link_id else None
    address = (link.email if link else mail.address) or ""
    is_theirs = or_(User.id == mail.user_id, func.lower(User.email) == address.lower())
    user = current.execute(select(User).where(is_theirs)).scalar_one_or_none()
    if user is None:
        return address, settings().timezone
    actor = Actor(ActorKind.USER, user.id, user.name, Origin.CRON)
    return user.email if user.is_active else "", zone_of(current, actor)


def _delete(mail_id: int) -> None:
    with writing() as current:
        current.execute(delete(Mail).where(Mail.id == mail_id))


def _postpone(mail_id: int) -> None:
    """Wait for a version that can write this email, without using up an attempt."""
    with writing() as current:
        later = {"tries": Mail.tries - 1, "due_at": database_time(current) + UNWRITTEN}
        current.execute(update(Mail).where(Mail.id == mail_id).values(later))


def _note(mail_id: int, error: MailFailed) -> None:
    with writing() as current:
        mail = current.get(Mail, mail_id, with_for_update=True)
        if mail is None:  # deleted in the meantime
            return
        mail.failed_step, mail.failed_with = error.step, error.words
        if mail.kind == TEST:
            mail.tries = TRIES
        elif error.may_have_arrived:
            mail.tries = max(mail.tries, TRIES - 1)  # one more attempt, not five
        mail.due_at = database_time(current) + WAITS[min(mail.tries, len(WAITS)) - 1]


def _wait() -> None:
    """Postpone all due emails without using up attempts, because the server accepts none."""
    with writing() as current:
        now = database_time(current)
        due = update(Mail).where(Mail.due_at <= now, is_waiting())
        current.execute(due.values(due_at=now + WAITS[0]))


def _end(mail_id: int, ready: _Ready) -> None:
    """Delete the row of a sent email, unless the portal shows it."""
    with writing() as current:
        now, mail = database_time(current), Mail.id == mail_id
        if mails.is_mailbox():
            mailbox.keep(current, mail_id, ready.to, ready.letter)
            return
        shown = update(Mail).where(mail, Mail.kind == TEST).values(sent_at=now)
        if current.execute(shown.returning(Mail.id)).first():
            # The server accepts messages again, so emails without attempts left are retried.
            given_up = (Mail.sent_at.is_(None), Mail.tries >= TRIES, Mail.kind != TEST)
            current.execute(update(Mail).where(*given_up).values(tries=0, due_at=now))
        else:
            current.execute(delete(Mail).where(mail))
