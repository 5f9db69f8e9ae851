"""Values that stand in an address. Whatever cannot be read is no error and narrows nothing."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from portal.web.frame.wording import zone

# What both databases and every time zone can hold.
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(9998, 12, 31)
LONGEST_NUMBER: Final = 9  # digits
A_DAY: Final = timedelta(days=1)


def uuid_or_none(text: str | None) -> UUID | None:
    """The uuid that the text is."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


def number_or_none(text: str | None) -> int | None:
    """The number that the text is, if a column can hold it."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > LONGEST_NUMBER:
        return None
    return int(text)


def day_or_none(text: str | None) -> date | None:
    """The day that the text is, as browsers send it (ISO 8601)."""
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None


def beginning_of(day: date | None) -> datetime | None:
    """When the day begins for the person who looks."""
    return datetime.combine(day, time(), zone()).astimezone(UTC) if day else None


def end_of(day: date | None) -> datetime | None:
    """When the next day begins."""
    return beginning_of(day + A_DAY) if day else None
