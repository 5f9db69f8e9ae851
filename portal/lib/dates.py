"""Format days and times for people: "Nov 27", "14:53", "Nov 29, 14:53"."""

from datetime import date, datetime


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
