"""Format days and times for people ("Nov 27", "14:53", "Nov 29, 14:53"), and bound them."""

from datetime import date, datetime
from typing import Final

# The days that we take. Every time zone and both databases can hold them and some years more.
FIRST_DAY: Final = date(1900, 1, 1)
LAST_DAY: Final = date(2200, 12, 31)
IN_CALENDAR: Final = f"from {FIRST_DAY} to {LAST_DAY}"


def is_in_calendar(at: date) -> bool:
    """Return whether we take this day, or a time on this day of its own zone."""
    day = at.date() if isinstance(at, datetime) else at
    return FIRST_DAY <= day <= LAST_DAY


def day_words(day: date, today: date | None = None) -> str:
    """Return the day as "Nov 27, 2027", without the year if it is `today`'s."""
    year = "" if today and day.year == today.year else f", {day.year}"
    return f"{day:%b} {day.day}{year}"


def time_words(at: datetime, now: datetime, *, dated: bool = False, to: str = "minutes") -> str:
    """Return the time as "14:53", after its day if that isn't `now`'s or if `dated`.

    Both times are in the reader's zone. `to`: "minutes" or "seconds".
    """
    clock = f"{at:%H:%M:%S}" if to == "seconds" else f"{at:%H:%M}"
    if at.date() == now.date() and not dated:
        return clock
    return f"{day_words(at.date(), now.date())}, {clock}"
