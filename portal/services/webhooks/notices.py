"""Tell owners by email of webhooks in trouble."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.circuit_breaker import PATIENCE_IN_WORDS
from portal.extensions import settings
from portal.lib.durations import DAY, in_words
from portal.models.deliveries import OPEN
from portal.models.mails import Mail
from portal.models.people import Role, User
from portal.models.webhooks import OURS, Notice, OffReason, Webhook, WebhookState
from portal.services.core.time_zones import moment_words
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mails
from portal.services.mail.mailer import Letter
from portal.services.mail.mails import Writer
from portal.services.outbox.claimable import find_stop
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks.backlog import Backlog

QUIET: Final = timedelta(hours=1)


class News(StrEnum):
    """The subject of a notice."""

    ATTENTION = "attention"
    OFF = "off"
    WELL = "well"


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice that is due."""

    webhook_id: int
    news: News


RETRIED: Final = " Nothing is lost. We’ll retry automatically."
# news → (subject, what happened, what to do); {name} is the webhook's.
WORDS: Final = {
    News.ATTENTION: (
        "“{name}” is failing",
        "{backlog}{retried}",
        "View the cause and next steps",
    ),
    News.OFF: (
        "“{name}” was turned off",
        "We turned off the webhook “{name}” because {cause}. "
        "New deliveries will stay on hold for up to {days}.",
        "View the cause and turn it on",
    ),
    News.WELL: (
        "“{name}” is working again",
        "“{name}” is receiving deliveries again.",
        "View remaining failures",
    ),
}

CAUSES: Final[Mapping[str | None, str]] = {
    OffReason.FAILING: f"no delivery succeeded for {PATIENCE_IN_WORDS}",
    OffReason.GONE: "the receiver permanently closed its URL",
    OffReason.LOST_KEY: "the portal’s encryption keys are lost, so its secrets can’t be decrypted",
}


def tell_due() -> int:
    """Store the emails of every notice that is due; return of how many notices. None where no email
    is sent, nor while all sending is stopped: the health of webhooks says little then."""
    if not mails.is_on() or find_stop():
        return 0
    return sum(_tell(due) for due in find_due())


def find_due() -> list[DueNotice]:
    """The notices that are due now."""
    current = session()
    now = database_time(current)
    rows = current.execute(
        select(Webhook, Notice)
        .outerjoin(Notice, Notice.webhook_id == Webhook.id)
        .where(Webhook.deleted_at.is_(None), Webhook.state != WebhookState.DRAFT)
        .order_by(Webhook.id)
    )
    known = {each.webhook_id: each for each in backlogs.find()}
    news_by_webhook = (
        (webhook, news_of(webhook, notice, known.get(webhook.id), now)) for webhook, notice in rows
    )
    return [DueNotice(webhook.id, news) for webhook, news in news_by_webhook if news is not None]


def news_of(
    webhook: Webhook, notice: Notice | None, backlog: Backlog | None, now: datetime
) -> News | None:
    """The notice that is due about this webhook, if any."""
    if notice is not None and now - notice.told_at < QUIET:
        return None
    told = News(notice.told) if notice else News.WELL
    if webhook.state == WebhookState.OFF:
        is_ours = webhook.off_reason in OURS
        return News.OFF if is_ours and told is not News.OFF else None
    if backlog is not None:
        # What failed first after the last notice is another trouble, which nobody has told of.
        is_known = (
            told is News.ATTENTION
            and notice
            and backlog.since
            and (backlog.since <= notice.told_at)
        )
        return News.ATTENTION if backlog.is_urgent and not is_known else None
    arrived = webhook.last_delivered_at
    has_recovered = notice is not None and arrived is not None and arrived > notice.told_at
    return News.WELL if told is not News.WELL and has_recovered else None


def write(news: News, current: Session, mail: Mail, zone: ZoneInfo) -> Letter | None:
    """The email of a notice; None where it is not true any more."""
    webhook = current.get(Webhook, mail.webhook_id)
    if webhook is None or webhook.deleted_at:
        return None
    backlog = backlogs.of_one(current, webhook.id)
    is_off = webhook.state == WebhookState.OFF
    is_true = {
        News.ATTENTION: backlog is not None and not is_off,
        News.OFF: is_off and webhook.off_reason in OURS,
        News.WELL: backlog is None and not is_off,
    }
    return _letter(news, webhook, backlog, zone) if is_true[news] else None


WRITERS: Final[Mapping[str, Writer]] = {f"webhook_{news}": partial(write, news) for news in News}


def _letter(news: News, webhook: Webhook, backlog: Backlog | None, zone: ZoneInfo) -> Letter:
    subject, happened, todo = WORDS[news]
    link = f"{settings().base_url}/settings/webhooks/{webhook.public_id}"
    days = in_words(settings().retention_days * DAY)
    text = happened.replace("{cause}", CAUSES.get(webhook.off_reason, "")).replace("{days}", days)
    text = text.replace("{backlog}", _backlog(backlog, zone) if backlog else "")
    is_retried = backlog is not None and not backlog.counts.keys() - OPEN
    text = text.replace("{retried}", RETRIED if is_retried else "")
    # The name last: whatever it holds stays as it is.
    name = " ".join(webhook.name.split())
    text = f"{text.replace('{name}', name)}\n\n{todo}:\n{link}\n"
    return Letter(subject.replace("{name}", name), text)


def _backlog(backlog: Backlog, zone: ZoneInfo) -> str:
    """Return how much is undelivered, since when and why, as the webhook's page says it."""
    many = backlog.undelivered
    deliveries = "1 delivery" if many == 1 else f"{many:,} deliveries"
    verb = "is" if many == 1 else "are"
    since = f", {backlog.since_words} {_time(backlog.since, zone)}" if backlog.since else ""
    cause = f" Cause: {backlog.cause.words}." if backlog.cause else ""
    return f"{deliveries} to “{{name}}” {verb} undelivered{since}.{cause}"


def _time(at: datetime, zone: ZoneInfo) -> str:
    return f"{moment_words(at, zone)} ({zone.key})"


def _tell(due: DueNotice) -> bool:
    """Store the emails of a notice, and that they are; nothing where it is not due any more."""
    with writing() as current:
        now = database_time(current)
        webhook = current.get(Webhook, due.webhook_id, with_for_update={"key_share": True})
        notice = current.get(Notice, due.webhook_id)
        backlog = backlogs.of_one(current, due.webhook_id)
        if webhook is None or news_of(webhook, notice, backlog, now) is not due.news:
            return False
        current.merge(Notice(webhook_id=webhook.id, told=due.news, told_at=now))
        for user_id in _readers(current, webhook.owner_id):
            mails.write(current, f"webhook_{due.news}", user_id=user_id, webhook_id=webhook.id)
        return True


def _readers(current: Session, owner_id: int | None) -> Sequence[int]:
    """The owner; every administrator where the owner is gone."""
    is_here = User.is_active.is_(True)
    owner = current.scalars(select(User.id).where(User.id == owner_id, is_here)).all()
    admins = select(User.id).where(User.role == Role.ADMIN, is_here).order_by(User.id)
    return owner or current.scalars(admins).all()
