"""Write times and numbers for people."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import current_app
from flask_login import current_user
from markupsafe import Markup, escape

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.dates import day_words, time_words
from portal.lib.durations import in_words, relative, size_in_words
from portal.models.tasks import Task, TaskState
from portal.services.core import queries
from portal.services.outbox.claimable import SendingStop
from portal.services.outbox.connectivity import NO_RECEIVER, OfflineSender, hosts_in_words

MINUS: Final = "\u2212"
# A typed URL, without punctuation that ends a sentence.
LINK: Final = re.compile(r"(https?://[^\s<>\"]*[^\s<>\".,;:!?)\]])")
A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in three forms: for people, exact with its zone, and for machines."""

    text: str
    exact: str
    iso: str


def zone() -> ZoneInfo:
    """Return the signed-in person's time zone, or the portal's."""
    own = getattr(current_user, "time_zone", None)
    fallback: ZoneInfo = current_app.extensions["settings"].timezone
    try:
        return ZoneInfo(own) if own else fallback
    except (ZoneInfoNotFoundError, ValueError):  # a zone that newer data no longer has
        return fallback


def zone_name() -> str:
    """Return the name of `zone()`, as in "America/New York"."""
    return zone().key.replace("_", " ")


def moment(at: datetime, now: datetime | None = None) -> Moment:
    """Describe `at` (aware), relative within a day of `now`, else as date and time in `zone()`."""
    now, here = now or utcnow(), zone()
    local = at.astimezone(here)
    near = abs(now - at) < A_DAY
    return Moment(
        text=relative(at, now) if near else time_words(local, now.astimezone(here)),
        exact=_exact(local),
        iso=_iso(at),
    )


def near_time(at: datetime, now: datetime | None = None) -> str:
    """Return a time in `zone()`: "13:11", or if it isn't today, "Nov 29, 13:11"."""
    return time_words(*_here(at, now))


def to_the_second(at: datetime, now: datetime | None = None) -> str:
    """Return `near_time` with seconds: "18:40:11"."""
    return time_words(*_here(at, now), to="seconds")


def exact_day(at: datetime, now: datetime | None = None) -> str:
    """Return a time in `zone()` with its day, even if that is today: "Nov 27, 14:10"."""
    return time_words(*_here(at, now), dated=True)


def in_both_zones(at: datetime) -> str:
    """Return a time for a text that leaves the portal.

    An example is "Nov 29, 2026, 13:56:24 (Europe/Vienna), 12:56:24 UTC".
    """
    local, utc = at.astimezone(zone()), at.astimezone(UTC)
    if not local.utcoffset():  # no offset from UTC, so it would be the same time twice
        return _exact(utc)
    return f"{_exact(local)}, {time_words(utc, local, to='seconds')} UTC"


def day_of(at: date | None, now: datetime | None = None) -> str:
    """Return a date, or a time's day in `zone()`: "Dec 24", "Dec 24, 2027", or "" for None."""
    if at is None:
        return ""
    local, today = _here(at if isinstance(at, datetime) else now or utcnow(), now)
    return day_words(local.date() if isinstance(at, datetime) else at, today.date())


def near_day(at: datetime, now: datetime | None = None) -> str:
    """Return a time for a narrow column: "17:00", or if it isn't today, only "Dec 24"."""
    local, today = _here(at, now)
    is_today = local.date() == today.date()
    return time_words(local, today) if is_today else day_words(local.date(), today.date())


def due_words(at: datetime, now: datetime | None = None) -> str:
    """Return a due time with its weekday: "Fri, Dec 4, 17:00", or today "17:00"."""
    local, today = _here(at, now)
    words = time_words(local, today)
    return words if local.date() == today.date() else f"{local:%a}, {words}"


def time_tag(at: datetime, now: datetime | None = None, words: str = "") -> Markup:
    """Return `near_time`, or these `words`, as a `<time>` element.

    The element has the exact time for machines and on hover.
    """
    local, today = _here(at, now)
    tag = Markup('<time datetime="{}" title="{}">{}</time>')
    return tag.format(_iso(at), _exact(local), words or time_words(local, today))


def _here(at: datetime, now: datetime | None) -> tuple[datetime, datetime]:
    """Return both times in the reader's zone."""
    here = zone()
    return at.astimezone(here), (now or utcnow()).astimezone(here)


def _exact(local: datetime) -> str:
    return f"{day_words(local.date())}, {local:%H:%M:%S} ({local.tzinfo})"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def stop_sentence(stop: SendingStop) -> str:
    """Return a sentence with the person and the time of the pause of all sending."""
    return f"{stop.by} paused all sending on {exact_day(stop.since)}."


def offline_sentence(sender: OfflineSender) -> str:
    """Return a sentence about a machine that can't connect, with its hosts and the start."""
    since = exact_day(sender.since)
    if sender.is_all:
        return f"{NO_RECEIVER} This started on {since}."
    hosts = hosts_in_words(sender.hosts)
    return (
        f"{sender.machine} hasn’t been able to connect to {hosts} since {since}. Nothing is lost."
    )


def linked(text: str) -> Markup:
    """Return typed text with its http and https URLs as links."""
    parts = LINK.split(text)
    link = Markup('<a href="{0}" rel="noreferrer nofollow">{0}</a>')
    return Markup().join(
        link.format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def lines_of(text: str, columns: int) -> int:
    """Return the number of lines of a typed text, with `columns` characters to a line."""
    return sum(max(1, -(-len(line) // columns)) for line in text.split("\n"))


def number(value: int) -> str:
    """Write a number with its digits in groups of three: 12,345."""
    return f"{value:,}".replace("-", MINUS)


def counted(count: int, limit: int | None = None) -> str:
    """Write a count that stops at its limit: "312", or "10,000+" if there are more."""
    maximum = queries.COUNT_LIMIT if limit is None else limit
    return f"{number(maximum)}+" if count > maximum else number(count)


def percent(part: int, whole: int) -> str:
    """Write a share, rounded down: "99.9%". It's 0% only for none of `whole` and 100% for all."""
    tenths = max(part * 1000 // whole, 1) if part else 0
    return f"{tenths / 10:g}%"


def money(amount: Decimal | None) -> str:
    """Write an amount in the installation’s currency: EUR 1,250.00, or "" for None."""
    return "" if amount is None else f"{settings().currency} {amount:,.2f}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write the number with its word: "1 delivery". `many` defaults to `one` and an "s"."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def time_left(task: Task, spacing: timedelta = timedelta()) -> str:
    """Return "About 3 minutes left.", or "" before the task has a pace.

    The pace is one row per `spacing`, or else the average so far.
    """
    if task.state != TaskState.RUNNING or not task.done or task.started_at is None:
        return ""
    one = spacing or (utcnow() - task.started_at) / task.done
    left = one.total_seconds() * (task.total - task.done)
    return f"About {in_words(max(left, 1.0))} left."


def days_kept() -> int:
    """Return the days that a delivery is kept after its end, or while it is on hold."""
    return settings().retention_days


WORDS: Final[dict[str, Callable[..., object]]] = {
    "moment": moment,
    "number": number,
    "percent": percent,
    "counted": counted,
    "money": money,
    "plural": plural,
    "size_in_words": size_in_words,
    "linked": linked,
    "lines_of": lines_of,
    "day_of": day_of,
    "near_day": near_day,
    "to_the_second": to_the_second,
    "time_tag": time_tag,
    "stop_sentence": stop_sentence,
    "offline_sentence": offline_sentence,
    "days_kept": days_kept,
    "zone_name": zone_name,
}
