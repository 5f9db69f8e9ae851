"""The `Retry-After` header (RFC 9110, 10.2.3): when a receiver wants to be asked again."""

import re
from datetime import UTC, datetime
from typing import Final

LONGEST: Final = 24 * 3600.0  # seconds; whoever asks for more gets this

_SECONDS: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_MONTHS: Final = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH: Final = f"(?P<month>{_MONTHS})"
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_ZONE: Final = r"(?:GMT|UTC|[+-]0000)"
# RFC 9110, 5.6.7: the form of today, then the two obsolete ones (RFC 850 and asctime). The day of
# the week is not compared: a date is no less clear for a wrong one.
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
    """Seconds from `now`, 0 to 24 hours; None when the header says nothing that can be read."""
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
    try:  # a leap second is the end of its minute
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None


def _full_year(two_digits: int, now: datetime) -> int:
    """RFC 9110: a year that seems more than 50 years ahead is one of the past century."""
    year = now.year - now.year % 100 + two_digits
    return year - 100 if year > now.year + 50 else year


def _bounded(seconds: float) -> float:
    return max(0.0, min(seconds, LONGEST))
