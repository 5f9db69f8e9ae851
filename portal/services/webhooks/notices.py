"""Tell owners by e-mail of webhooks in trouble."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from time import monotonic
from typing import Final
from uuid import UUID

from sqlalchemy import select, update

from portal.engine.circuit_breaker import PATIENCE_IN_WORDS
from portal.extensions import settings
from portal.lib.durations import DAY, in_words
from portal.models.deliveries import OPEN
from portal.models.people import Role, User
from portal.models.webhooks import OURS, Notice, OffReason, Webhook, WebhookState
from portal.services.core import heartbeats
from portal.services.core.time_zones import moment_words
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.outbox.claimable import find_stop
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks import mailer
from portal.services.webhooks.backlog import Backlog

log = logging.getLogger(__name__)

QUIET: Final = timedelta(hours=1)
SECONDS: Final = 25.0  # after these no other e-mail is begun


class News(StrEnum):
    """The subject of a notice."""

    ATTENTION = "attention"
    OFF = "off"
    WELL = "well"


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice to be sent. `off_reason`: why we turned the webhook off, where that is the news;
    `backlog`: what is undelivered there, if anything."""

    webhook_id: int
    public_id: UUID
    name: str
    news: News
    owner_id: int | None
    off_reason: str | None
    backlog: Backlog | None


@dataclass(frozen=True, slots=True)
class LastNotice:
    """The last notice before this one. `told_at` None: there was none."""

    told: str
    told_at: datetime | None


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


def send_due() -> int:
    """Send every notice that is due; return how many. None without SMTP_URL, nor while all sending
    is stopped: the health of webhooks says little then.

    Ends within the time of a scheduled job, whatever the mail server does; the next run goes on.
    """
    if not settings().smtp_url or find_stop():
        return 0
    sent, last_start = 0, monotonic() + SECONDS
    for due in find_due():
        if monotonic() > last_start:
            break
        before = _claim(due)
        if before is None:
            continue
        try:
            mailer.send(settings(), _recipients(due), *_message(due))
        except mailer.MailError as error:
            if isinstance(error, mailer.MessageError):
                # One dead mailbox keeps no notice from others.
                log.warning(
                    "A notice was not sent (%.300s). The next attempt is in an hour.", error
                )
                continue
            log.warning("A notice was not sent (%.300s). The next run tries again.", error)
            _release(due, before)
            break
        _remember(due)
        sent += 1
    return sent


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
    return [
        DueNotice(
            webhook.id,
            webhook.public_id,
            webhook.name,
            news,
            webhook.owner_id,
            webhook.off_reason,
            known.get(webhook.id),
        )
        for webhook, news in news_by_webhook
        if news is not None
    ]


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


def recipients(owner_id: int | None) -> Sequence[str]:
    """The owner's address; every administrator's where the owner is gone."""
    current = session()
    is_here = User.is_active.is_(True)
    owner = current.scalars(select(User.email).where(User.id == owner_id, is_here)).all()
    admins = select(User.email).where(User.role == Role.ADMIN, is_here).order_by(User.id)
    return owner or current.scalars(admins).all()


def _message(due: DueNotice) -> tuple[str, str]:
    subject, happened, todo = WORDS[due.news]
    link = f"{settings().base_url}/settings/webhooks/{due.public_id}"
    days = in_words(settings().retention_days * DAY)
    text = happened.replace("{cause}", CAUSES.get(due.off_reason, "")).replace("{days}", days)
    text = text.replace("{backlog}", _backlog(due.backlog) if due.backlog else "")
    is_retried = due.backlog is not None and not due.backlog.counts.keys() - OPEN
    text = text.replace("{retried}", RETRIED if is_retried else "")
    # The name last: whatever it holds stays as it is.
    text = f"{text.replace('{name}', due.name)}\n\n{todo}:\n{link}\n"
    return subject.replace("{name}", due.name), text


def _backlog(backlog: Backlog) -> str:
    """Return how much is undelivered, since when and why, as the webhook's page says it."""
    many = backlog.undelivered
    deliveries = "1 delivery" if many == 1 else f"{many:,} deliveries"
    verb = "is" if many == 1 else "are"
    since = f", {backlog.since_words} {_time(backlog.since)}" if backlog.since else ""
    cause = f" Cause: {backlog.cause.words}." if backlog.cause else ""
    return f"{deliveries} to “{{name}}” {verb} undelivered{since}.{cause}"


def _time(at: datetime) -> str:
    zone = settings().timezone
    return f"{moment_words(at, zone)} ({zone.key})"


def _recipients(due: DueNotice) -> Sequence[str]:
    to = recipients(due.owner_id)
    session().rollback()  # no transaction is open while the mail server is talked to
    return to


def _claim(due: DueNotice) -> LastNotice | None:
    """Claim the notice for an hour; return the last one, or None where it is not due any more."""
    with writing() as current:
        now = database_time(current)
        webhook = current.get(Webhook, due.webhook_id, with_for_update={"key_share": True})
        notice = current.get(Notice, due.webhook_id)
        backlog = backlogs.of_one(current, due.webhook_id)
        if webhook is None or news_of(webhook, notice, backlog, now) is not due.news:
            return None
        before = LastNotice(News.WELL, None)
        if notice:
            before = LastNotice(notice.told, notice.told_at)
        current.merge(Notice(webhook_id=webhook.id, told=before.told, told_at=now))
        return before


def _release(due: DueNotice, before: LastNotice) -> None:
    """Make an unsent notice due again, and note for System that e-mail does not work."""
    with writing() as current:
        notice = current.get(Notice, due.webhook_id)
        if notice is not None and before.told_at is not None:
            notice.told_at = before.told_at
        elif notice is not None:
            current.delete(notice)
        heartbeats.record(current.connection(), heartbeats.MAIL_FAILED, heartbeats.MAIL_FAILED)


def _remember(due: DueNotice) -> None:
    with writing() as current:
        current.execute(
            update(Notice).where(Notice.webhook_id == due.webhook_id).values(told=due.news)
        )
