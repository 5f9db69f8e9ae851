"""Values that stand in an address: ids, numbers, days and times."""

import re
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from flask import request

from portal.lib.typed_values import impossible_day
from portal.services.core.refusals import Refusal
from portal.web.frame.wording import zone

Choice = TypeVar("Choice", bound=StrEnum)
Default = TypeVar("Default")

# What both databases and every time zone can hold.
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(9998, 12, 31)
LONGEST_NUMBER: Final = 9  # digits
A_DAY: Final = timedelta(days=1)
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# As browsers send it, as it is written in much of Europe, and as our own pages print it.
_DAY: Final = (
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
    r"(?P<day>\d{1,2}) (?P<name>[A-Za-z]{3,9}) (?P<year>\d{4})",
)
_CLOCK: Final = r"(?:(?:T|,? )(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?)?"
_TIMES: Final = [re.compile(f"{day}{_CLOCK}(?: \\(.*\\))?", re.ASCII) for day in _DAY]
EXPECTED: Final = "as a day, or a day and a time, such as 2026-05-03 18:00"


def uuid_or_none(text: str | None) -> UUID | None:
    """Return the uuid that the text is."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


class UnreadableAddress(Refusal):
    """An address that was cut off or typed over: what it asks for cannot be told."""

    status = 400

    def __init__(self) -> None:
        super().__init__("This address was cut off or changed, so we cannot tell what it asks for.")


def linked(name: str, among: type[Choice], otherwise: Default) -> Choice | Default:
    """Return what a tab or a link of ours narrows the list to. Raises `UnreadableAddress`."""
    text = request.args.get(name)
    if not text:
        return otherwise
    if text not in set(among):
        raise UnreadableAddress
    return among(text)


def number_or_none(text: str | None) -> int | None:
    """Return the number that the text is, if a column can hold it."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > LONGEST_NUMBER:
        return None
    return int(text)


def read_begin(text: str) -> datetime:
    """Return when the day begins for the person who looks, or that time of it. ValueError: not a
    time."""
    return _read(text)[0]


def read_end(text: str) -> datetime:
    """Return when the day is over, or that time of it. ValueError: not a time."""
    return _read(text)[1]


def day_begins(day: date) -> datetime:
    """Return when the day begins for the person who looks."""
    return datetime.combine(day, time(), zone()).astimezone(UTC)


def _read(text: str) -> tuple[datetime, datetime]:
    """Return the first and the last instant that the text can mean."""
    parsed = next((match for form in _TIMES if (match := form.fullmatch(text))), None)
    if parsed is None:
        missing = impossible_day(text.partition(" ")[0])
        raise ValueError(f"with a day that exists: there is no {missing}" if missing else EXPECTED)
    given = parsed.groupdict()
    name = (given.get("name") or "").lower()[:3]
    if name and name not in MONTHS:
        raise ValueError(EXPECTED)
    month = MONTHS.index(name) + 1 if name else int(given["month"])
    try:
        day = date(int(given["year"]), month, int(given["day"]))
    except ValueError:
        raise ValueError(f"with a day that exists: there is no {text[:40]}") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"with a year from {FIRST_DAY.year} to {LAST_DAY.year}")
    if given["hour"] is None:
        return day_begins(day), day_begins(day + A_DAY)
    try:
        clock = time(int(given["hour"]), int(given["minute"]), int(given["second"] or 0))
    except ValueError:
        raise ValueError("with a time of day from 00:00 to 23:59") from None
    at = datetime.combine(day, clock, zone()).astimezone(UTC)
    return at, at
