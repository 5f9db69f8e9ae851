"""Parse typed text and URLs, and name the expected format in errors."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from flask import request
from wtforms import Field
from wtforms.widgets import DateTimeLocalInput, TextInput

from portal.lib.clock import utcnow
from portal.lib.dates import IN_CALENDAR, is_in_calendar
from portal.lib.typed_values import DOTTED, TypedValueError, impossible_day, read_day
from portal.services.core.refusals import Refusal
from portal.web.forms.base import tidy
from portal.web.frame.wording import zone, zone_name

LARGEST_ROW_ID: Final = 2**31 - 1


class TypedField(Field):
    """One line of text that `read` turns into a value. Blank is None. The typed text stays.

    `read` raises ValueError with the expected format ("in digits"), to follow "Enter the" and
    `called`.
    """

    widget = TextInput()

    def __init__(
        self, label: str, *, read: Callable[[str], Any], called: str = "", **options: Any
    ) -> None:
        super().__init__(label, **options)
        self.read = read
        self.called = called or label.lower()

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read the submitted text. A line of spaces counts as empty, for validators too."""
        text = tidy(valuelist[0]) if valuelist else ""
        self.raw_data = [text] if valuelist else []
        self.data = None
        if text:
            self.data = self._read(text)

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(self.data)

    def _read(self, text: str) -> Any:
        try:
            return self.read(text)
        except ValueError as expected:
            raise ValueError(f"Enter the {self.called} {expected}") from None


def read_months(text: str) -> int:
    """Parse a length of time in months, up to 50 years."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 600):
        raise ValueError("in digits, from 1 to 600")
    return int(text)


def row_id(value: Any) -> int | None:
    """Parse a row id from a choice. Return None for no choice, and 0 for an impossible id."""
    text = str(value or "")
    if not text:
        return None
    fits = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= LARGEST_ROW_ID
    return int(text) if fits else 0


# The browsers' format, to the minute.
AS_TYPED = "%Y-%m-%dT%H:%M"


class MomentField(TypedField):
    """A time, aware and in UTC. The hint names the zone in which it is typed."""

    def __init__(self, label: str, *, called: str = "", **options: Any) -> None:
        options.setdefault("widget", DateTimeLocalInput())
        options.setdefault("description", f"In the time zone {zone_name()}")
        super().__init__(label, read=read_moment, called=called, **options)

    def _value(self) -> str:
        if self.raw_data or not isinstance(self.data, datetime):
            return super()._value()
        return self.data.astimezone(zone()).strftime(AS_TYPED)


def read_moment(text: str) -> datetime:
    """Parse a local date and time (ISO 8601, or 03.05.2026 09:00 with the day first).

    An hour that the clocks repeat means the first one. An hour that they skip is refused, because
    taking it for another one would be silently wrong.
    """
    try:
        typed = _as_typed(text)
        if not is_in_calendar(typed):
            raise TypedValueError(f"as a time {IN_CALENDAR}")
        local = typed.replace(tzinfo=typed.tzinfo or zone())
        moment = local.astimezone(UTC)
        round_trip = moment.astimezone(local.tzinfo)
    except TypedValueError:
        raise
    except (ValueError, OverflowError):
        raise ValueError("as date and time, such as 2026-05-03 09:00") from None
    if round_trip.replace(tzinfo=None) != typed.replace(tzinfo=None):
        raise ValueError("outside the hour that the clocks skip that night")
    return moment


def _as_typed(text: str) -> datetime:
    """Parse a typed time. Raises `TypedValueError` for an impossible day, else ValueError."""
    day, _, clock = text.replace("T", " ").partition(" ")
    if missing := impossible_day(day):
        raise TypedValueError("as a date that exists", f"There is no {missing}")
    if DOTTED.fullmatch(day) and clock:
        return datetime.combine(read_day(day), time.fromisoformat(clock.strip()))
    return datetime.fromisoformat(text)


Choice = TypeVar("Choice", bound=StrEnum)
Default = TypeVar("Default")

LONGEST_NUMBER: Final = 9  # digits
A_DAY: Final = timedelta(days=1)
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# As browsers send it, as much of Europe writes it, and as our own pages print it, without the year
# if it is the current one.
_DAY: Final = (
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})",
    r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
    r"(?P<day>\d{1,2}) (?P<name>[A-Za-z]{3,9}) (?P<year>\d{4})",
    r"(?P<name>[A-Za-z]{3,9}) (?P<day>\d{1,2})(?:,? (?P<year>\d{4}))?",
)
_CLOCK: Final = r"(?:(?:T|,? )(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?)?"
_TIMES: Final = [re.compile(f"{day}{_CLOCK}(?: \\(.*\\))?", re.ASCII) for day in _DAY]
EXPECTED: Final = "as a day, with or without a time, such as 2026-05-03 18:00"


def uuid_or_none(text: str | None) -> UUID | None:
    """Parse a UUID, or return None."""
    try:
        return UUID(text or "")
    except ValueError:
        return None


class UnreadableAddress(Refusal):
    """A URL that was cut off or changed, so that it can't be understood."""

    status = 400

    def __init__(self) -> None:
        super().__init__("This URL is incomplete or was changed. Open the page again from a link.")


def linked(name: str, among: type[Choice], otherwise: Default) -> Choice | Default:
    """Return the choice in the URL, set by a tab or a link. Raises `UnreadableAddress`."""
    text = request.args.get(name)
    if not text:
        return otherwise
    if text not in set(among):
        raise UnreadableAddress
    return among(text)


def number_or_none(text: str | None) -> int | None:
    """Parse a number that a column can hold, or return None."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > LONGEST_NUMBER:
        return None
    return int(text)


def read_begin(text: str) -> datetime:
    """Return the beginning of a typed day in the reader's zone, or the typed time of it."""
    return _read(text)[0]


def read_end(text: str) -> datetime:
    """Return the end of a typed day, or the typed time of it. Raises ValueError."""
    return _read(text)[1]


def day_begins(day: date) -> datetime:
    """Return the beginning of a day in the reader's time zone."""
    return datetime.combine(day, time(), zone()).astimezone(UTC)


def _read(text: str) -> tuple[datetime, datetime]:
    """Return the first and the last instant that the text can mean."""
    parsed = next((match for form in _TIMES if (match := form.fullmatch(text))), None)
    if parsed is None:
        missing = impossible_day(text.partition(" ")[0])
        raise ValueError(f"with a day that exists. There is no {missing}" if missing else EXPECTED)
    groups = parsed.groupdict()
    name = (groups.get("name") or "").lower()[:3]
    if name and name not in MONTHS:
        raise ValueError(EXPECTED)
    month = MONTHS.index(name) + 1 if name else int(groups["month"])
    try:
        year = int(groups["year"] or utcnow().astimezone(zone()).year)
        day = date(year, month, int(groups["day"]))
    except ValueError:
        raise ValueError(f"with a day that exists. There is no {text[:40]}") from None
    if not is_in_calendar(day):
        raise ValueError(f"as a day {IN_CALENDAR}")
    if groups["hour"] is None:
        return day_begins(day), day_begins(day + A_DAY)
    try:
        clock = time(int(groups["hour"]), int(groups["minute"]), int(groups["second"] or 0))
    except ValueError:
        raise ValueError("with a time of day from 00:00 to 23:59") from None
    at = datetime.combine(day, clock, zone()).astimezone(UTC)
    return at, at
