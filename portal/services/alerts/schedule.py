"""When the daily look for alerts is due: a time of day in the organisation's zone. Pure.

A time that a night leaves out counts when the clocks have moved on; of one that comes twice the
first counts. A day has one slot, so whatever the clocks do there is one run a day.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

GRACE: Final = timedelta(minutes=15)
ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slot:
    """One day's run: the day it belongs to, and the instant from which on it is due."""

    day: date
    due_at: datetime


def last_slot(now: datetime, at: time, zone: ZoneInfo) -> Slot:
    """The latest run that should have begun by `now`."""
    today = now.astimezone(zone).date()
    found = slot_of(today, at, zone)
    return found if found.due_at <= now else slot_of(today - ONE_DAY, at, zone)


def next_slot(now: datetime, at: time, zone: ZoneInfo) -> Slot:
    """The first run that is not due at `now` yet."""
    last = last_slot(now, at, zone)
    return slot_of(last.day + ONE_DAY, at, zone)


def slot_of(day: date, at: time, zone: ZoneInfo) -> Slot:
    """The run of a day."""
    # Of a time that the clocks pass over, this is the same distance after the gap.
    return Slot(day, datetime.combine(day, at, zone).astimezone(UTC))


def is_late(now: datetime, last: Slot, *, has_run: bool) -> bool:
    """Whether the run of `last` should have ended by now and has not."""
    return not has_run and now > last.due_at + GRACE
