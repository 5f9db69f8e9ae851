"""Fields that read a value out of typed text, and say in words what they expect."""

from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any, Final

from wtforms import Field, HiddenField
from wtforms.widgets import DateTimeLocalInput, TextInput

from portal.lib.typed_values import DOTTED, TypedValueError, impossible_day, read_day
from portal.web.forms.base import tidy
from portal.web.frame.wording import zone, zone_name

LARGEST_ROW_ID: Final = 2**31 - 1


class TypedField(Field):
    """One line of text that `read` turns into a value; blank is None. What was typed stays.

    `read` raises ValueError with the form it expects ("in digits"), to follow "Enter the" and what
    the value is called.
    """

    widget = TextInput()

    def __init__(
        self, label: str, *, read: Callable[[str], Any], called: str = "", **options: Any
    ) -> None:
        super().__init__(label, **options)
        self.read = read
        self.called = called or label.lower()

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what was sent. A line of spaces is as good as an empty one, for validators too."""
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


class VersionField(HiddenField):
    """The version that a form was opened with: nobody saves over what others have saved since."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what was sent. WTForms would take what is stored for what was left out."""
        self.data = valuelist[0] if valuelist else None

    @property
    def seen(self) -> int:
        """The version; 0, which none has, where it was left out or is no number."""
        return row_id(self.data) or 0


def read_months(text: str) -> int:
    """Return a length of time in months, up to fifty years."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 600):
        raise ValueError("in digits, from 1 to 600")
    return int(text)


def row_id(value: Any) -> int | None:
    """Return a choice from a list of rows: None for none of them, 0 for what cannot be one."""
    text = str(value or "")
    if not text:
        return None
    fits = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= LARGEST_ROW_ID
    return int(text) if fits else 0


# What browsers send, to the minute.
AS_TYPED = "%Y-%m-%dT%H:%M"


class MomentField(TypedField):
    """A time: aware, in UTC. The hint names the zone in which it is typed."""

    def __init__(self, label: str, *, called: str = "", **options: Any) -> None:
        options.setdefault("widget", DateTimeLocalInput())
        options.setdefault("description", f"In the time zone {zone_name()}")
        super().__init__(label, read=read_moment, called=called, **options)

    def _value(self) -> str:
        if self.raw_data or not isinstance(self.data, datetime):
            return super()._value()
        return self.data.astimezone(zone()).strftime(AS_TYPED)


def read_moment(text: str) -> datetime:
    """Return a local date and time (ISO 8601, or 03.05.2026 09:00 with the day first); of an hour
    that the clocks repeat, the first.

    An hour that they skip is no time at all: taken for another one, it would be wrong unsaid.
    """
    try:
        typed = _as_typed(text)
        local = typed.replace(tzinfo=typed.tzinfo or zone())
        moment = local.astimezone(UTC)
        there = moment.astimezone(local.tzinfo)
    except TypedValueError:
        raise
    except (ValueError, OverflowError):
        raise ValueError("as date and time, such as 2026-05-03 09:00") from None
    if there.replace(tzinfo=None) != typed.replace(tzinfo=None):
        raise ValueError("before or after the hour that the clocks skip that night")
    return moment


def _as_typed(text: str) -> datetime:
    """Raises `TypedValueError` for a day that no calendar has, ValueError for what is no time."""
    day, _, clock = text.replace("T", " ").partition(" ")
    if missing := impossible_day(day):
        raise TypedValueError("as a date that exists", f"there is no {missing}")
    if DOTTED.fullmatch(day) and clock:
        return datetime.combine(read_day(day), time.fromisoformat(clock.strip()))
    return datetime.fromisoformat(text)
