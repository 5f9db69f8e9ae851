"""The current time, read in one place.

Clocks of machines can differ. Stored times and comparisons with them use the database's clock:
`common_now`, or the database itself before anything is deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Final

_frozen_at: ContextVar[datetime | None] = ContextVar("frozen_at", default=None)

# Correct clocks differ by less. Then each machine uses its own clock.
TOLERATED: Final = timedelta(seconds=1)
_ahead = timedelta()


def utcnow() -> datetime:
    """Return this machine's current time, aware, in UTC, for people and receivers."""
    return _frozen_at.get() or datetime.now(UTC)


def note_skew(said: datetime, asked_at: datetime | None = None) -> timedelta:
    """Record the current time of the database's clock. Return how far it is ahead of ours.

    `asked_at`: the start of the query. The query's own duration doesn't count as a difference.
    """
    global _ahead
    skew = said - datetime.now(UTC)
    if asked_at is not None:
        skew = max(skew, min(said - asked_at, timedelta()))
    _ahead = skew if abs(skew) > TOLERATED else timedelta()
    return skew


def ahead() -> timedelta:
    """Return how far the database's clock is ahead of ours, 0 for less than `TOLERATED`."""
    return _ahead


def common_now() -> datetime:
    """Return the current time of the database's clock, on which all machines agree.

    It is as exact as this process's last query of that clock. Each heartbeat makes one.
    """
    return _frozen_at.get() or datetime.now(UTC) + _ahead


def since_boot() -> float:
    """Return monotonic seconds that also count while the machine is suspended.

    Use them if other processes can take over work in the meantime.
    """
    return clock_gettime(CLOCK_BOOTTIME)


def frozen_at() -> datetime | None:
    """Return the time that `frozen` set, or None outside of it. Only the demo uses it."""
    return _frozen_at.get()


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Set the current time to `at` within this block, for the demo to make a history."""
    token = _frozen_at.set(at)
    try:
        yield
    finally:
        _frozen_at.reset(token)
