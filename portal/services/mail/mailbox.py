"""Keep the emails of a local trial without a mail server, to be read in the portal.

Nothing else keeps the text of an email, because a link in it lets its reader in.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal.models.mails import Mail
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mails
from portal.services.mail.mailer import Letter

MOST: Final = 50
NEWEST: Final = (Mail.sent_at.desc(), Mail.id.desc())


@dataclass(frozen=True, slots=True)
class Kept:
    """An email that would have been sent."""

    id: int
    to: str
    subject: str
    at: datetime
    text: str = field(repr=False)


def keep(current: Session, mail_id: int, to: str, letter: Letter) -> None:
    """Keep an email instead of sending it, and delete all but the newest `MOST`."""
    subject = " ".join(letter.subject.split())
    values = {"sent_at": database_time(current), "kept": f"{to}\n{subject}\n{letter.text}"}
    current.execute(update(Mail).where(Mail.id == mail_id).values(values))
    older = select(Mail.id).where(Mail.kept.is_not(None)).order_by(*NEWEST).offset(MOST)
    current.execute(delete(Mail).where(Mail.id.in_(current.scalars(older).all())))


def newest() -> list[Kept]:
    """Return the kept emails, newest first, or none outside such a trial."""
    if not mails.is_mailbox():
        return []
    query = select(Mail).where(Mail.kept.is_not(None)).order_by(*NEWEST)
    return [_kept(mail) for mail in session().scalars(query.limit(MOST))]


def clear() -> None:
    """Delete the kept emails if this is no longer such a trial."""
    is_kept = Mail.kept.is_not(None)
    if mails.is_mailbox() or not session().execute(select(Mail.id).where(is_kept).limit(1)).first():
        return
    with writing() as current:
        current.execute(delete(Mail).where(is_kept))


def _kept(mail: Mail) -> Kept:
    to, subject, text = (mail.kept or "").split("\n", 2)
    return Kept(mail.id, to, subject, mail.sent_at or mail.created_at, text)
