"""Decide about a delivery after an attempt, in a pure function without clock or database."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from portal.engine.reasons import Reason

__all__ = [
    "SCHEDULE",
    "AttemptKind",
    "Decision",
    "Delivered",
    "GiveUp",
    "Outcome",
    "Repeat",
    "Restore",
    "RetryAt",
    "TurnOff",
    "decide",
    "parse_retry_after",
    "wait",
]

# Seconds before each attempt, counted from the end of the previous one: right away, then after 5 s,
# 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, and 24 h, 75 h 35 min in total.
SCHEDULE: Final = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
JITTER: Final = 0.1
MOST_INTERRUPTIONS: Final = 3  # of a person's Retry or Test
# After a person's attempt, in which no automatic one follows.
_TOGETHER: Final = timedelta(seconds=5)

# A retry can't succeed until a person changes something.
_HOPELESS: Final = frozenset({Reason.BLOCKED, Reason.BAD_HEADERS})


class AttemptKind(StrEnum):
    """The origin of an attempt: the schedule, a person's Retry or Resend, or a person's Test."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    TEST = "test"


class Outcome(NamedTuple):
    """The end of an attempt.

    `reason` is None for success. `retry_after` is the result of `parse_retry_after` in seconds.
    `may_differ`: the same attempt can end otherwise without a change here, because we don't control
    the address behind a name.
    """

    reason: Reason | None
    code: int | None = None
    retry_after: float | None = None
    may_differ: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver accepted the delivery."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The delivery is retried at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The delivery becomes Failed."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class TurnOff:
    """The delivery becomes Failed, regardless of its status, and its webhook is turned off."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Restore:
    """A person's extra attempt failed, so the previous status and due time are restored.

    `retry_at`: the later due time of an automatic attempt that would follow it right away.
    """

    reason: Reason
    retry_at: datetime

    def due_at(self, planned: datetime, now: datetime) -> datetime:
        """Return the due time of the automatic attempt that was `planned` before."""
        return max(planned, self.retry_at) if planned <= now + _TOGETHER else planned


@dataclass(frozen=True, slots=True)
class Repeat:
    """A person's attempt was interrupted, so an attempt of the same kind is due right away."""


Decision = Delivered | RetryAt | GiveUp | TurnOff | Restore | Repeat


def decide(
    *,
    kind: AttemptKind,
    tries: int,
    outcome: Outcome,
    now: datetime,
    jitter: float = 0.0,
    schedule: Sequence[float] = SCHEDULE,
    interruptions: int = MOST_INTERRUPTIONS,
) -> Decision:
    """Return the decision about the delivery.

    `tries` counts its scheduled attempts, including this one if it is scheduled. `jitter` is a
    random number from -1 to 1. `interruptions` counts how often in a row this person's attempt was
    interrupted, including this time. The default ends the attempt, so a caller that doesn't count
    never loops. A warm shutdown releases its lease without an outcome and doesn't call this.
    """
    if outcome.reason is None:
        return Delivered()
    if kind is AttemptKind.SCHEDULED:
        return _after_scheduled(tries, outcome, outcome.reason, now, jitter, schedule)
    if outcome.reason is Reason.INTERRUPTED and interruptions < MOST_INTERRUPTIONS:
        return Repeat()
    if kind is AttemptKind.TEST:  # doesn't change its webhook, even if the URL is closed
        return GiveUp(outcome.reason)
    if outcome.reason is Reason.GONE:
        return TurnOff(outcome.reason)
    # The wait after the delivery's last attempt, or after its first if no automatic one was made.
    step = min(max(tries, 1), len(schedule) - 1)
    seconds = wait(schedule[step] if schedule else 0.0, jitter, outcome.retry_after)
    return Restore(outcome.reason, now + timedelta(seconds=seconds))


def _after_scheduled(
    tries: int,
    outcome: Outcome,
    reason: Reason,
    now: datetime,
    jitter: float,
    schedule: Sequence[float],
) -> Decision:
    if reason is Reason.GONE:
        return TurnOff(reason)
    is_hopeless = reason in _HOPELESS and not outcome.may_differ
    if is_hopeless or tries >= len(schedule):
        return GiveUp(reason)
    return RetryAt(now + timedelta(seconds=wait(schedule[tries], jitter, outcome.retry_after)))


def wait(scheduled: float, jitter: float, retry_after: float | None = None) -> float:
    """Return seconds until the next attempt: the schedule's ±10 %, or more if the receiver asks."""
    planned = scheduled * (1 + JITTER * max(-1.0, min(1.0, jitter)))
    return max(planned, min(retry_after or 0.0, LONGEST))


LONGEST: Final = 24 * 3600.0  # seconds, also for a receiver that asks for more

_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_MONTHS: Final = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH: Final = f"(?P<month>{_MONTHS})"
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_ZONE: Final = r"(?:GMT|UTC|[+-]0000)"
# RFC 9110, 5.6.7: the current format, then the two obsolete ones (RFC 850 and asctime). We ignore
# the day of the week because a date is clear without it.
_DATES: Final = (
    re.compile(
        rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{1,2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} {_ZONE}"
    ),
    re.compile(
        rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} {_ZONE}"
    ),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return seconds from `now`, at most 24 hours, or None for an unreadable header."""
    text = value[:100].strip()
    if match := _SECONDS.fullmatch(text):
        return _bounded(float(match[0]))
    for form in _DATES:
        if match := form.fullmatch(text):
            at = _moment(match.groupdict(), now)
            return None if at is None else _bounded((at - now).total_seconds())
    return None


def _moment(parts: dict[str, str], now: datetime) -> datetime | None:
    month = _MONTHS.split("|").index(parts["month"]) + 1
    year, day, hour, minute, second = (
        int(parts[name]) for name in ("year", "day", "hour", "minute", "second")
    )
    if len(parts["year"]) == 2:
        year = _full_year(year, now)
    try:  # a leap second becomes second 59
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None


def _full_year(two_digits: int, now: datetime) -> int:
    """Return the year. One more than 50 years ahead is in the past century (RFC 9110)."""
    year = now.year - now.year % 100 + two_digits
    return year - 100 if year > now.year + 50 else year


def _bounded(seconds: float) -> float:
    return max(0.0, min(seconds, LONGEST))
