"""Put durations, relative times, and sizes into words."""

from datetime import datetime
from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def in_words(seconds: float) -> str:
    """Return a duration in words: "143 ms", "4 minutes", "2 h 5 min", "3 days 4 h".

    A negative duration counts as 0. Seconds are rounded to the nearest one, larger units down.
    """
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    whole = round(seconds) if seconds < MINUTE else int(seconds)
    if whole < MINUTE:
        return _counted(whole, "second")
    if whole < HOUR:
        return _counted(whole // MINUTE, "minute")
    if whole < DAY:
        return _pair(whole // HOUR, "hour", " h", whole % HOUR // MINUTE, "min")
    days = whole // DAY
    return _pair(days, "day", " day" if days == 1 else " days", whole % DAY // HOUR, "h")


def relative(then: datetime, now: datetime) -> str:
    """Return a time relative to `now` in words: "3 minutes ago", "in 4 minutes"."""
    seconds = (then - now).total_seconds()
    if -MINUTE < seconds < 1:
        return "just now"
    length = _one_unit(abs(seconds))
    return f"in {length}" if seconds > 0 else f"{length} ago"


def is_now(at: datetime, now: datetime) -> bool:
    """Return whether the time is in the past or less than a second away."""
    return (at - now).total_seconds() < 1


def _one_unit(seconds: float) -> str:
    for size, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= size:
            return _counted(int(seconds // size), word)
    return _counted(int(seconds), "second")


def _pair(large: int, alone: str, beside: str, small: int, small_unit: str) -> str:
    return f"{large}{beside} {small} {small_unit}" if small else _counted(large, alone)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


UNITS: Final = ("bytes", "KB", "MB", "GB", "TB")


def size_in_words(count: int) -> str:
    """Return a size in words: "912 bytes", "4.2 MB", "118 GB" (a KB is 1024 bytes)."""
    value, unit = float(max(0, count)), 0
    while value >= 1023.5 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 1 if unit and value < 9.95 else 0
    return f"{value:.{digits}f} {UNITS[unit]}"
