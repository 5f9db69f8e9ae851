"""Times and numbers as people read them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import current_app
from flask_login import current_user
from markupsafe import Markup, escape

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.durations import in_words, relative
from portal.models.tasks import Task, TaskState
from portal.services.core import queries
from portal.services.outbox.claimable import SendingStop
from portal.services.outbox.connectivity import OfflineSender, hosts_in_words

THIN_SPACE: Final = "\u202f"  # a narrow space that does not break
# As people type it: what ends a sentence is no part of it.
LINK: Final = re.compile(r"(https?://[^\s<>\"]*[^\s<>\".,;:!?)\]])")
A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in four ways: for people, in a column (its day, unless that is today, and its time),
    exact with its zone, and for machines.
    """

    text: str
    day: str
    clock: str
    exact: str
    iso: str


def zone() -> ZoneInfo:
    """Return the signed-in person's time zone, or the portal's."""
    own = getattr(current_user, "time_zone", None)
    fallback: ZoneInfo = current_app.extensions["settings"].timezone
    try:
        return ZoneInfo(own) if own else fallback
    except (ZoneInfoNotFoundError, ValueError):  # a zone that newer data no longer knows
        return fallback


def zone_name() -> str:
    """Return the name of `zone()`, as in "Europe/Vienna"."""
    return zone().key


def moment(at: datetime, now: datetime | None = None) -> Moment:
    """Describe `at` (aware): relative within a day of `now`, else date and time in `zone()`."""
    now, here = now or utcnow(), zone()
    local = at.astimezone(here)
    near = abs(now - at) < A_DAY
    day = f"{local.day} {local:%b %Y}"
    return Moment(
        text=relative(at, now) if near else f"{day}, {local:%H:%M}",
        day="" if local.date() == now.astimezone(here).date() else day_of(at, now),
        clock=f"{local:%H:%M}",
        exact=f"{day}, {local:%H:%M:%S} ({here.key})",
        iso=at.astimezone(UTC).isoformat(timespec="seconds"),
    )


def to_the_second(at: datetime, now: datetime | None = None) -> str:
    """Return the time of day in `zone()`, "18:40:11", after the date where that is another day."""
    local, today = at.astimezone(zone()), (now or utcnow()).astimezone(zone()).date()
    clock = f"{local:%H:%M:%S}"
    return clock if local.date() == today else f"{local.day} {local:%b %Y}, {clock}"


def in_both_zones(at: datetime) -> str:
    """Return a time for a text that leaves the portal: "Nov 29, 2026, 13:56:24 (Europe/Vienna),
    12:56:24 UTC"."""
    local, utc = at.astimezone(zone()), at.astimezone(UTC)
    day = "" if utc.date() == local.date() else f"{utc:%b} {utc.day}, "
    here = f"{local:%b} {local.day}, {local.year}, {local:%H:%M:%S}"
    return f"{here} ({zone_name()}), {day}{utc:%H:%M:%S} UTC"


def day_of(at: datetime, now: datetime | None = None) -> str:
    """Write a day in the person's zone: "24 Dec", with the year where it is another."""
    return day_words(at.astimezone(zone()).date(), now or utcnow())


def near_time(at: datetime, now: datetime | None = None) -> str:
    """Return a time near by, briefly: "13:11", "yesterday 16:40", "24 Nov, 16:40"."""
    here = zone()
    local, today = at.astimezone(here), (now or utcnow()).astimezone(here).date()
    clock = f"{local:%H:%M}"
    if local.date() == today:
        return clock
    is_yesterday = local.date() == today - A_DAY
    return f"yesterday {clock}" if is_yesterday else f"{day_of(at, now)}, {clock}"


def dated(at: datetime, now: datetime | None = None) -> str:
    """Return a time in a history: "15 hours ago, yesterday 16:40", "24 Nov 2026, 16:40"."""
    now = now or utcnow()
    text = moment(at, now).text
    return f"{text}, {near_time(at, now)}" if abs(now - at) < A_DAY else text


def time_tag(at: datetime) -> Markup:
    """Return the same as an element of a page, exact for machines and on hover."""
    it = moment(at)
    tag = Markup('<time datetime="{}" title="{}">{}</time>')
    return tag.format(it.iso, it.exact, near_time(at))


def exact_day(at: datetime) -> str:
    """Return a day near by with its time, in the person's zone: "Fri 27 Nov, 14:10"."""
    local = at.astimezone(zone())
    return f"{local:%a} {local.day} {local:%b}, {local:%H:%M}"


def stop_sentence(stop: SendingStop) -> str:
    """Since when nothing is sent to any webhook, and by whom."""
    return f"Sending is stopped for all webhooks since {exact_day(stop.since)}, by {stop.by}."


def offline_sentence(sender: OfflineSender) -> str:
    """To which hosts a machine cannot connect, and since when."""
    since = exact_day(sender.since)
    hosts = hosts_in_words(sender.hosts)
    return f"{sender.machine} cannot connect to {hosts} since {since}; no attempt is spent."


def linked(text: str) -> Markup:
    """Return what somebody typed, with its http and https addresses as links."""
    parts = LINK.split(text)
    link = Markup('<a href="{0}" rel="noreferrer nofollow">{0}</a>')
    return Markup().join(
        link.format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def near_day(at: datetime, now: datetime | None = None) -> str:
    """Return a day in a column: "today 17:00", or "24 Dec"."""
    local, today = at.astimezone(zone()), (now or utcnow()).astimezone(zone()).date()
    return f"today {local:%H:%M}" if local.date() == today else day_of(at, now)


def day_words(day: date, now: datetime) -> str:
    """Return a day: "12 Mar", with the year where it is another."""
    year = "" if day.year == now.astimezone(zone()).year else f" {day.year}"
    return f"{day.day} {day:%b}{year}"


def number(value: int) -> str:
    """Digits in groups of three: 12 345, with a thin space."""
    return f"{value:,}".replace(",", THIN_SPACE)


def counted(count: int, limit: int | None = None) -> str:
    """Write a count that stops at its limit: "312", "10 000+" where there are more."""
    most = queries.COUNT_LIMIT if limit is None else limit
    return f"{number(most)}+" if count > most else number(count)


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write the number with its word: "1 delivery". `many` defaults to `one` and an "s"."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def time_left(task: Task) -> str:
    """Say "About 3 minutes left."; nothing before it has a pace."""
    if task.state != TaskState.RUNNING or not task.done or task.started_at is None:
        return ""
    taken = (utcnow() - task.started_at).total_seconds()
    left = taken / task.done * (task.total - task.done)
    return f"About {in_words(max(left, 1.0))} left."


def days_kept() -> int:
    """Return how long a delivery is kept after it has ended, and a held one while it waits."""
    return settings().retention_days


WORDS: Final[dict[str, Callable[..., object]]] = {
    "moment": moment,
    "dated": dated,
    "number": number,
    "counted": counted,
    "plural": plural,
    "linked": linked,
    "near_day": near_day,
    "to_the_second": to_the_second,
    "stop_sentence": stop_sentence,
    "offline_sentence": offline_sentence,
    "days_kept": days_kept,
    "zone_name": zone_name,
}
