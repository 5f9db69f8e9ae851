"""Email people about webhooks in trouble, once for each trouble.

Notices that are due for a person at the same time go into one email.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.circuit_breaker import PATIENCE_IN_WORDS
from portal.extensions import settings
from portal.lib.durations import DAY, in_words
from portal.models.deliveries import OPEN, DeliveryStatus
from portal.models.mails import Mail
from portal.models.people import User
from portal.models.webhooks import OURS, OffReason, Watch, Webhook, WebhookState
from portal.services.core.time_zones import moment_words
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mails
from portal.services.mail.mailer import Letter
from portal.services.mail.mails import Writer
from portal.services.outbox.at_rest import held_until
from portal.services.outbox.claimable import find_stop
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks import watches
from portal.services.webhooks.backlog import Backlog
from portal.services.webhooks.queries import turns_off_at
from portal.services.webhooks.rows import count_held, is_shown, oldest_held
from portal.services.webhooks.watches import MOST_TOGETHER, Reason

# A trouble may pass by itself within this time.
LASTS: Final = timedelta(minutes=5)
# Minimum time between two emails to a person about one webhook.
QUIET: Final = timedelta(hours=1)
# How long before deliveries on hold expire a notice is sent.
AHEAD: Final = timedelta(days=3)
# The kind of an email about several webhooks.
TOGETHER: Final = "webhooks"


class News(StrEnum):
    """The subject of a notice. `DOWN`: nothing was delivered since the first failure.

    `BACK`: something was delivered since, but some deliveries still fail.
    """

    WELL = "well"
    BACK = "back"
    FAILING = "failing"
    DOWN = "down"
    ENDING = "ending"
    OFF = "off"
    HELD_ENDS = "held_ends"


# A person told of a trouble also knows of lesser ones from that time.
RANKS: Final = {
    News.WELL: 0,
    News.BACK: 1,
    News.FAILING: 1,
    News.DOWN: 2,
    News.ENDING: 3,
    News.OFF: 4,
    News.HELD_ENDS: 5,
}

RETRIED: Final = " Nothing is lost. We’ll retry automatically."
# news → (subject, sentences, next step). {name}: the webhook’s. {arrived}: the time of the last
# successful delivery, if any.
WORDS: Final = {
    News.FAILING: (
        "{some} to {name} are failing",
        "{some} to “{name}” are failing. {backlog}",
        "View the cause and next steps",
    ),
    News.DOWN: (
        "{name} isn’t receiving any deliveries",
        "“{name}” isn’t receiving any deliveries. {backlog}",
        "View the cause and next steps",
    ),
    News.ENDING: (
        "{name} will be turned off {end_soon}",
        "“{name}” isn’t receiving any deliveries. {arrived} We’ll turn off the webhook {end}. "
        "New deliveries will then stay on hold for up to {days}.",
        "View the cause and next steps",
    ),
    News.OFF: (
        "{name} was turned off",
        "We turned off the webhook “{name}” because {cause}. "
        "New deliveries will stay on hold for up to {days}.",
        "View the cause and turn on the webhook",
    ),
    News.HELD_ENDS: (
        "{name}’s on-hold deliveries expire on {expiry_soon}",
        "{held} to “{name}” {are} on hold because the webhook is off. {first} expires on "
        "{expiry}. We won’t send it after that.",
        "Turn on the webhook or choose which deliveries to send",
    ),
    News.BACK: (
        "{name} is receiving deliveries again",
        "“{name}” is receiving deliveries again. {backlog}",
        "View the failing deliveries",
    ),
    News.WELL: (
        "{name} works again",
        "“{name}” is receiving deliveries again. No deliveries are failing.",
        "View the webhook",
    ),
}

AT_NEXT: Final = "if the next attempt fails"
CAUSES: Final[Mapping[str | None, str]] = {
    OffReason.FAILING: f"no delivery succeeded in {PATIENCE_IN_WORDS}",
    OffReason.GONE: "the receiver permanently closed its URL",
    OffReason.LOST_KEY: "the portal’s encryption keys are lost, so its secrets can’t be decrypted",
}
WHY: Final = {
    Reason.OWNER: "You get this email because you own “{name}”.",
    Reason.STANDS_IN: "You get this email because “{name}” has no owner who can sign in.",
    Reason.ASKED: "You get this email because you asked for it on the page of “{name}”.",
}
# For several webhooks. None: for mixed reasons.
WHY_TOGETHER: Final = {
    Reason.OWNER: "You get this email because you own these webhooks.",
    Reason.STANDS_IN: "You get this email because these webhooks have no owner who can sign in.",
    Reason.ASKED: "You get this email because you asked for it on these webhooks’ pages.",
    None: "You get this email because you own these webhooks, asked for it on their pages, or are "
    "an administrator of webhooks without an owner.",
}
# Subjects for several webhooks: if all are alike, and after a number of them.
_FAIL: Final = ("are failing", "failing")
SUMS: Final = {
    News.FAILING: _FAIL,
    News.DOWN: _FAIL,
    News.ENDING: ("will be turned off soon", "turned off soon"),
    News.OFF: ("were turned off", "turned off"),
    News.HELD_ENDS: ("have expiring deliveries", "with expiring deliveries"),
    News.BACK: ("are receiving deliveries again", "receiving deliveries again"),
    News.WELL: ("work again", "working again"),
}
UNSUBSCRIBE: Final = "To stop these emails without signing in, open this link:"


def tell_due() -> int:
    """Store every email that is due and return their number. Store none if email is off."""
    if not mails.is_on():
        return 0
    watches.stand_in()
    return sum(_tell(user_id, webhook_ids) for user_id, webhook_ids in find_due().items())


def find_due() -> dict[int, list[int]]:
    """Return the webhooks with news for each person, all by row id."""
    current = session()
    due: dict[int, list[int]] = defaultdict(list)
    for user_id, webhook_id, _ in _all_news(current, _watched(), backlogs.find()):
        due[user_id].append(webhook_id)
    return dict(sorted(due.items()))


def news_of(
    webhook: Webhook | AnyRow,
    watch: Watch | AnyRow,
    backlog: Backlog | None,
    expiry: datetime | None,
    now: datetime,
) -> News | None:
    """Return the news of this webhook for a person, if any.

    `expiry`: the time when the first delivery on hold expires, if the webhook is off. If the clock
    was set back, earlier news lies in the future and silences nothing.
    """
    told, told_at = News(watch.told) if watch.told else None, watch.told_at or now
    if told and timedelta() <= now - told_at < QUIET:
        return None
    if told and _has_recovered(webhook, told_at, now):
        if backlog is None:
            return News.WELL if RANKS[told] else None
        if RANKS[told] > RANKS[News.BACK]:
            return News.BACK
    for news, began in _troubles(webhook, backlog, expiry, now):
        is_known = told and RANKS[told] >= RANKS[news] and began <= told_at
        return None if is_known else news
    return None


def _has_recovered(webhook: Webhook | AnyRow, told_at: datetime, now: datetime) -> bool:
    """Return whether something was delivered since, and nothing has failed after it."""
    arrived = webhook.last_delivered_at
    is_later = arrived is not None and (arrived > told_at or told_at > now)
    is_on = webhook.state == WebhookState.ACTIVE
    return is_on and is_later and webhook.failing_since is None


def _troubles(
    webhook: Webhook | AnyRow, backlog: Backlog | None, expiry: datetime | None, now: datetime
) -> Iterator[tuple[News, datetime]]:
    """Yield the current troubles and the times they began, worst first."""
    if webhook.state == WebhookState.OFF:
        off_at = webhook.off_at or webhook.created_at
        if expiry is not None and expiry - now <= AHEAD:
            yield News.HELD_ENDS, off_at
        if webhook.off_reason in OURS:
            yield News.OFF, off_at
        return
    since = webhook.failing_since
    if since is not None and turns_off_at(webhook, now):
        yield News.ENDING, since
    if backlog is None:
        return
    stopped = timedelta(seconds=webhook.stopped_for)
    if since is not None and _has_lasted(since + stopped, now):
        yield News.DOWN, since
    if backlog.since is not None and _has_lasted(backlog.since, now):
        yield News.FAILING, backlog.since


def _has_lasted(since: datetime, now: datetime) -> bool:
    # A time in the future is from before the clock was set back.
    return abs(now - since) >= LASTS


def _watched() -> Select[*tuple[Any, ...]]:
    """Select each webhook with each person who gets emails about it."""
    return (
        select(
            Webhook.id,
            Webhook.state,
            Webhook.off_reason,
            Webhook.off_at,
            Webhook.off_until,
            Webhook.created_at,
            Webhook.failures_in_row,
            Webhook.failing_since,
            Webhook.stopped_for,
            Webhook.last_delivered_at,
            Watch.user_id,
            Watch.told,
            Watch.told_at,
        )
        .join(Watch, Watch.webhook_id == Webhook.id)
        .join(User, User.id == Watch.user_id)
        .where(*is_shown(), watches.is_told())
    )


def _all_news(
    current: Session, watched: Select[*tuple[Any, ...]], found: Iterable[Backlog]
) -> Iterator[tuple[int, int, News]]:
    """Yield (user row id, webhook row id, news) for everyone with news."""
    now, is_stopped = database_time(current), bool(find_stop())
    known = {each.webhook_id: each for each in found}
    rows = current.execute(watched.order_by(Webhook.id, User.id)).all()
    for webhook_id, of_one in groupby(rows, key=lambda row: int(row.id)):
        each = list(of_one)
        # While all sending is stopped, the health of active webhooks says little.
        if is_stopped and each[0].state == WebhookState.ACTIVE:
            continue
        expiry = _expiry(current, each[0], now)
        for row in each:
            news = news_of(row, row, known.get(webhook_id), expiry, now)
            if news:
                yield row.user_id, webhook_id, news


def _expiry(current: Session, webhook: Webhook | AnyRow, now: datetime) -> datetime | None:
    """Return the time when the first delivery on hold expires, if that is soon.

    Returns None if we turn the webhook on before that.
    """
    off_at = webhook.off_at
    if webhook.state != WebhookState.OFF or off_at is None:
        return None
    if held_until(off_at, off_at) - now > AHEAD:
        return None  # spares most webhooks a query
    oldest = oldest_held(current, webhook.id)
    expiry = held_until(oldest, off_at) if oldest else None
    # A webhook that is off long after `off_until` is kept off by something.
    until = webhook.off_until
    is_sent = expiry and until and now - LASTS < until < expiry
    return None if is_sent else expiry


def _tell(user_id: int, webhook_ids: Sequence[int]) -> int:
    """Store an email to one person about these webhooks, and note the news as told. Return 0 or 1.

    Webhooks beyond `MOST_TOGETHER` wait for the next time.
    """
    with writing() as current:
        # Lock the person before the rows, as code that ends these emails or erases a person does.
        current.get(User, user_id, with_for_update={"read": True})
        conditions = Watch.user_id == user_id, Watch.webhook_id.in_(webhook_ids[:MOST_TOGETHER])
        locked = select(Watch).where(*conditions).order_by(Watch.webhook_id).with_for_update()
        rows = {watch.webhook_id: watch for watch in current.scalars(locked)}
        in_trouble = backlogs.of_ids(current, list(rows)).values()
        news = list(_all_news(current, _watched().where(*conditions), in_trouble))
        for _, webhook_id, told in news:
            rows[webhook_id].told, rows[webhook_id].told_at = told, database_time(current)
        match news:
            case []:
                return 0
            case [(_, webhook_id, told)]:
                mails.write(current, f"webhook_{told}", user_id=user_id, webhook_id=webhook_id)
            case _:
                mails.write(current, TOGETHER, user_id=user_id)
        return 1


def write(news: News, current: Session, mail: Mail, zone: ZoneInfo) -> Letter | None:
    """Write the email of a notice, or return None if the news is no longer true.

    Also returns None if the reader ended these emails or can no longer read deliveries.
    """
    parts = _parts(current, mail, zone, Webhook.id == mail.webhook_id, news=news)
    return _letter(parts[0]) if parts else None


def write_together(current: Session, mail: Mail, zone: ZoneInfo) -> Letter | None:
    """Write one email with all news of the same time that is still true."""
    parts = _parts(current, mail, zone, Watch.told_at == mail.created_at)
    if len(parts) < 2:
        return _letter(parts[0]) if parts else None
    reasons = {part.reason for part in parts}
    why = WHY_TOGETHER.get(next(iter(reasons)) if len(reasons) == 1 else None)
    link = watches.link_of([part.webhook.id for part in parts], parts[0].user_id)
    text = "\n\n".join(f"{part.happened}\n{part.page}" for part in parts)
    return Letter(
        _sum([part.news for part in parts]), f"{text}\n\n{why} {UNSUBSCRIBE}\n{link}\n", link
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """The news of one webhook for a person. `words`: values for its sentences' placeholders."""

    news: News
    webhook: Webhook
    user_id: int
    reason: Reason
    words: Mapping[str, str]

    @property
    def happened(self) -> str:
        """Return the sentences that describe the news."""
        return WORDS[self.news][1].format_map(self.words)

    @property
    def page(self) -> str:
        return f"{settings().base_url}/settings/webhooks/{self.webhook.public_id}"


def _parts(
    current: Session,
    mail: Mail,
    zone: ZoneInfo,
    narrowed: ColumnElement[bool],
    news: News | None = None,
) -> list[_Part]:
    """Return the parts that are still true, by webhook name. `news`: by default, the last told."""
    rows = current.execute(_watched().where(User.id == mail.user_id, narrowed)).all()
    parts = []
    for row in rows:
        webhook, watch = (
            current.get_one(Webhook, row.id),
            current.get_one(Watch, (row.id, row.user_id)),
        )
        told = news or News(row.told)
        words = _words_of(current, told, webhook, zone)
        if words is not None:
            reason = watches.reason_of(webhook, watch)
            parts.append(_Part(told, webhook, row.user_id, reason, words))
    return sorted(parts, key=lambda part: part.webhook.name.lower())


def _words_of(
    current: Session, news: News, webhook: Webhook, zone: ZoneInfo
) -> dict[str, str] | None:
    """Return the values for the sentences, or None if the news is no longer true."""
    now, backlog = database_time(current), backlogs.of_one(current, webhook.id)
    is_on = webhook.state == WebhookState.ACTIVE
    is_failing = is_on and backlog is not None
    is_true = {
        News.FAILING: is_failing,
        News.DOWN: is_failing and webhook.failing_since is not None,
        News.ENDING: is_on and turns_off_at(webhook, now) is not None,
        News.OFF: not is_on and webhook.off_reason in OURS,
        News.HELD_ENDS: not is_on and _expiry(current, webhook, now) is not None,
        News.BACK: is_failing and webhook.failing_since is None,
        News.WELL: is_on and backlog is None,
    }
    if not is_true[news]:
        return None
    words = {"arrived": _arrived(webhook.last_delivered_at, zone)}
    if backlog is not None:
        words["some"] = "Deliveries" if backlog.is_untouched else "Some deliveries"
        words["backlog"] = _backlog_words(backlog, words["arrived"], zone)
    if (end := turns_off_at(webhook, now)) is not None:
        soon = end > now
        words["end_soon"] = f"on {moment_words(end, zone)}" if soon else "soon"
        words["end"] = f"on {_time(end, zone)} unless a delivery succeeds" if soon else AT_NEXT
    if (expiry := _expiry(current, webhook, now)) is not None:
        many = count_held(current, webhook.id)
        words |= {"expiry_soon": moment_words(expiry, zone), "expiry": _time(expiry, zone)}
        words |= {"held": _deliveries(many), "are": "is" if many == 1 else "are"}
        words["first"] = "It" if many == 1 else "The oldest"
    words["cause"] = CAUSES.get(webhook.off_reason, "")
    words["days"] = in_words(settings().retention_days * DAY)
    # A name can hold anything, such as braces, because values are not formatted again.
    words["name"] = " ".join(webhook.name.split())
    return words


WRITERS: Final[Mapping[str, Writer]] = {
    **{f"webhook_{news}": partial(write, news) for news in News},
    TOGETHER: write_together,
}


def _letter(part: _Part) -> Letter:
    subject, _, todo = WORDS[part.news]
    link = watches.link_of([part.webhook.id], part.user_id)
    return Letter(
        subject.format_map(part.words),
        f"{part.happened}\n\n{todo}:\n{part.page}\n\n"
        f"{WHY[part.reason].format_map(part.words)} {UNSUBSCRIBE}\n{link}\n",
        link,
    )


def _sum(all_news: Sequence[News]) -> str:
    """Return a subject such as "3 webhooks: 2 failing, 1 turned off" or "7 webhooks are
    failing"."""
    sums = Counter(SUMS[news] for news in all_news)
    if len(sums) == 1:
        return f"{len(all_news)} webhooks {next(iter(sums))[0]}"
    many = ", ".join(f"{count} {words}" for (_, words), count in sums.most_common())
    return f"{len(all_news)} webhooks: {many}"


def trouble_words(backlog: Backlog, zone: ZoneInfo) -> str:
    """Describe a webhook’s trouble: why we turned it off, if we did, and its backlog."""
    off = f"We turned off the webhook because {CAUSES.get(backlog.off_reason)}. "
    arrived = _arrived(backlog.last_delivered_at, zone)
    waiting = _backlog_words(backlog, arrived, zone) if backlog.undelivered else arrived
    return (off if backlog.is_off_by_us else "") + waiting


def _backlog_words(backlog: Backlog, arrived: str, zone: ZoneInfo) -> str:
    """Describe the backlog, its cause, and its retries, in the words of the webhook’s page."""
    many = backlog.undelivered
    since = f", {backlog.since_words} {_time(backlog.since, zone)}" if backlog.since else ""
    cause = f" Cause: {backlog.cause.words}." if backlog.cause else ""
    verb = "is" if many == 1 else "are"
    return f"{_deliveries(many)} {verb} undelivered{since}. {arrived}{cause}{_retried(backlog)}"


def _arrived(at: datetime | None, zone: ZoneInfo) -> str:
    return (
        f"The last delivery succeeded on {_time(at, zone)}."
        if at
        else "Nothing has been delivered yet."
    )


def _retried(backlog: Backlog) -> str:
    """Promise a retry of all deliveries, or say for how many automatic retries have ended."""
    failed = backlog.counts[DeliveryStatus.FAILED]
    if failed:
        of_some = "" if failed == backlog.undelivered else f" for {failed:,} of them"
        return f" Automatic retries have ended{of_some}."
    return "" if backlog.counts.keys() - OPEN else RETRIED


def _deliveries(many: int) -> str:
    return "1 delivery" if many == 1 else f"{many:,} deliveries"


def _time(at: datetime, zone: ZoneInfo) -> str:
    return f"{moment_words(at, zone)} ({zone.key})"
