"""Send a test email to oneself, and report whether it was sent or the step that failed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.mails import Mail
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import moment_words
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import mails
from portal.services.mail.mailer import Letter, Step
from portal.services.mail.mails import TEST, TRIES

PERMISSION: Final = "system.read"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last test's result. While it is being sent, `sent_at` and `step` are None."""

    sent_at: datetime | None
    step: Step | None
    words: str

    @property
    def is_over(self) -> bool:
        return bool(self.sent_at or self.step)


def start(actor: Actor) -> None:
    """Send a test to this person and delete the one before."""
    with writing() as current:
        user = require(current, actor, PERMISSION)
        if user is None or not mails.is_on():
            raise Refusal("Email isn’t set up. Set SMTP_URL on the server.")
        current.execute(delete(Mail).where(_is_of(actor)))
        mails.write(current, TEST, user_id=user.id)


def last(actor: Actor) -> Outcome | None:
    """Return the outcome of this person's last test, or None."""
    mail = session().execute(select(Mail).where(_is_of(actor))).scalars().first()
    if mail is None:
        return None
    has_failed = mail.tries >= TRIES and mail.failed_step and not mail.sent_at
    step = Step(mail.failed_step or "") if has_failed else None
    return Outcome(mail.sent_at, step, mail.failed_with or "")


def write(_current: Session, _mail: Mail, zone: ZoneInfo) -> Letter:
    at = f"{moment_words(common_now(), zone)} ({zone.key})"
    return Letter(
        "Test email from the asset register",
        f"You sent this test on {at}. The asset register can email you.\n\n"
        f"View System:\n{settings().base_url}/settings/system\n",
    )


def _is_of(actor: Actor) -> ColumnElement[bool]:
    return and_(Mail.kind == TEST, Mail.user_id == actor.user_id)
