"""The time of day, read in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_told: ContextVar[datetime | None] = ContextVar("told", default=None)


def utcnow() -> datetime:
    """The present moment, aware, in UTC."""
    return _told.get() or datetime.now(UTC)


def told() -> datetime | None:
    """The moment that `as_if` says it is; None outside of it, that is, always but in the demo."""
    return _told.get()


@contextmanager
def as_if(at: datetime) -> Iterator[None]:
    """For this block alone `at` is the present moment: to tell a past, as the demo does."""
    token = _told.set(at)
    try:
        yield
    finally:
        _told.reset(token)
