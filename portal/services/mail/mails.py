"""Store emails as rows, in the transaction that causes them. They are due until sent."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.extensions import settings
from portal.models.mails import Mail
from portal.models.people import User
from portal.queue.notifier import notify_after_commit, notify_mails
from portal.services.core.unit_of_work import database_time, session
from portal.services.mail.mailer import Letter, Step

# A test email to oneself, attempted once (`sample_mail.py`).
TEST: Final = "test"
# Between attempts. After the last one, System shows the failure.
WAITS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
)
TRIES: Final = len(WAITS) + 1
# Longer than an SMTP session can last, so a process that claimed it earlier is dead.
CLAIMED: Final = timedelta(minutes=1)
KEPT: Final = timedelta(days=7)

# Writes an email for a reader in this time zone, or returns None if it has become obsolete.
Writer: TypeAlias = Callable[[Session, Mail, ZoneInfo], Letter | None]


def is_on() -> bool:
    """Return whether emails are sent, or shown instead."""
    return bool(settings().smtp_url) or is_mailbox()


def is_mailbox() -> bool:
    """Return whether this is a local trial without a mail server, which shows its emails."""
    return settings().local_trial and not settings().smtp_url


def write(
    current: Session,
    kind: str,
    *,
    user_id: int | None = None,
    staff_id: int | None = None,
    link_id: int | None = None,
    webhook_id: int | None = None,
    address: str | None = None,
) -> None:
    """Store an email in the caller's transaction. It is sent right after the commit.

    Does nothing if email is off.
    """
    if is_on():
        now = database_time(current)
        row = Mail(kind=kind, user_id=user_id, staff_id=staff_id, link_id=link_id)
        row.webhook_id, row.address = webhook_id, address
        row.created_at = row.due_at = now
        current.add(row)
        notify_after_commit(current, notify_mails)


def forget(current: Session, user: User) -> None:
    """Delete all emails to this user, in the transaction that removes the account."""
    current.execute(delete(Mail).where(Mail.user_id == user.id))


def forget_addresses(current: Session, addresses: Collection[str]) -> None:
    """Delete all emails to these addresses, in the caller's transaction."""
    lowered = [address.lower() for address in addresses]
    current.execute(delete(Mail).where(func.lower(Mail.address).in_(lowered)))


def is_waiting() -> ColumnElement[bool]:
    """Match unsent emails that have attempts left."""
    return and_(Mail.sent_at.is_(None), Mail.tries < TRIES)


def has_due(since: timedelta = timedelta()) -> bool:
    """Return whether an email has been due for at least `since`."""
    if not is_on():
        return False
    current = session()
    before = database_now(current.connection()) - since
    due = select(Mail.id).where(Mail.due_at <= before, is_waiting())
    return current.execute(due.limit(1)).first() is not None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Emails that the server didn't accept. `step` and `words` are of the latest.

    `has_given_up` means that some have no attempts left.
    """

    count: int
    step: Step
    words: str
    has_given_up: bool


def find_trouble() -> Trouble | None:
    """Return a summary of the emails that failed, or None."""
    current = session()
    has_failed = and_(Mail.sent_at.is_(None), Mail.failed_step.is_not(None), Mail.kind != TEST)
    latest = select(Mail).where(has_failed).order_by(Mail.due_at.desc(), Mail.id.desc()).limit(1)
    mail = current.execute(latest).scalar_one_or_none()
    if mail is None or not is_on():
        return None
    count, tries = current.execute(
        select(func.count(), func.max(Mail.tries)).where(has_failed)
    ).one()
    return Trouble(count, Step(mail.failed_step or ""), mail.failed_with or "", tries >= TRIES)
