"""The time of day, read in one place.

Machines need not agree on it. What is stored, and judged by what is stored, goes by the database's
clock: `common_now`, or the database itself where something would be deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Final

_frozen_at: ContextVar[datetime | None] = ContextVar("frozen_at", default=None)

# Clocks that are in order differ by less: then each machine goes by its own.
TOLERATED: Final = timedelta(seconds=1)
_ahead = timedelta()


def utcnow() -> datetime:
    """Return the present moment by this machine, aware, in UTC: for what people see, and
    receivers."""
    return _frozen_at.get() or datetime.now(UTC)


def note_skew(said: datetime, asked_at: datetime | None = None) -> timedelta:
    """Note what the database's clock says at this moment; how far ahead of ours it is.

    `asked_at`: it was read at any time since then. What the answer's way may explain is no
    difference.
    """
    global _ahead
    found = said - datetime.now(UTC)
    if asked_at is not None:
        found = max(found, min(said - asked_at, timedelta()))
    _ahead = found if abs(found) > TOLERATED else timedelta()
    return found


def ahead() -> timedelta:
    """Return how far the database's clock is ahead of ours; nothing for less than `TOLERATED`."""
    return _ahead


def common_now() -> datetime:
    """Return the present moment that all machines agree on: the database's, as far as this process
    has asked it; each heartbeat does."""
    return _frozen_at.get() or datetime.now(UTC) + _ahead


def since_boot() -> float:
    """Return seconds that only grow, as the monotonic clock's, and also while the machine is
    suspended: for what others may have taken over meanwhile."""
    return clock_gettime(CLOCK_BOOTTIME)


def frozen_at() -> datetime | None:
    """Return the moment that `frozen` says it is; None outside of it, that is, always but in the
    demo."""
    return _frozen_at.get()


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """For this block alone `at` is the present moment: to tell a past, as the demo does."""
    token = _frozen_at.set(at)
    try:
        yield
    finally:
        _frozen_at.reset(token)
