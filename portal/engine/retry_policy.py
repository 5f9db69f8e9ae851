"""What becomes of a delivery after an attempt: one pure function, without clock or database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from portal.engine.reasons import Reason
from portal.engine.retry_after import LONGEST, parse_retry_after

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

# Seconds before each try, counted from the end of the one before: 75 h 35 min in all.
SCHEDULE: Final = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
JITTER: Final = 0.1
MOST_INTERRUPTIONS: Final = 3  # of one person's Retry or Test

# Trying again cannot help before a person changes something.
_HOPELESS: Final = frozenset({Reason.BLOCKED, Reason.BAD_HEADERS})


class AttemptKind(StrEnum):
    """Who wanted the attempt: the schedule, a person's Retry or Send again, a person's Test."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    TEST = "test"


class Outcome(NamedTuple):
    """How an attempt ended.

    `reason` is None for success. `retry_after` is what `parse_retry_after` made of the answer's
    header, in seconds. `may_differ`: the same attempt may end otherwise although nobody changes
    anything: where a name leads to is not ours to say.
    """

    reason: Reason | None
    code: int | None = None
    retry_after: float | None = None
    may_differ: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """It becomes Will retry, due at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It becomes Failed."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class TurnOff:
    """It becomes Failed, whatever it was before, and its webhook goes off."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Restore:
    """A person's extra attempt failed: the status and due time from before it come back."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Repeat:
    """A person's attempt was interrupted: the same kind of attempt again, due at once."""


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
    """What becomes of the delivery.

    `tries` counts its scheduled attempts, this one included when it is one. `jitter` is a random
    number from -1 to 1. `interruptions` counts how often in a row this person's attempt has been
    interrupted, this time included; who does not count gets the end of it, never a loop. A lease
    that was freed by a warm shutdown is no outcome and does not come here.
    """
    if outcome.reason is None:
        return Delivered()
    if kind is AttemptKind.SCHEDULED:
        return _after_scheduled(tries, outcome, outcome.reason, now, jitter, schedule)
    if outcome.reason is Reason.INTERRUPTED and interruptions < MOST_INTERRUPTIONS:
        return Repeat()
    if kind is AttemptKind.TEST:  # changes nothing at its webhook, 410 included
        return GiveUp(outcome.reason)
    return TurnOff(Reason.GONE) if outcome.reason is Reason.GONE else Restore(outcome.reason)


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
    """Seconds until the next try: the schedule's ±10 %, or longer if the receiver asked for it."""
    planned = scheduled * (1 + JITTER * max(-1.0, min(1.0, jitter)))
    return max(planned, min(retry_after or 0.0, LONGEST))
