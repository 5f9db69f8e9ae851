"""A field for a date with a time of day, typed in the person's own zone."""

from datetime import UTC, datetime, time
from typing import Any

from wtforms.widgets import DateTimeLocalInput

from portal.lib.typed_values import DOTTED, TypedValueError, impossible_day, read_day
from portal.web.forms.fields import TypedField
from portal.web.frame.wording import zone, zone_name

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
    """A local date and time (ISO 8601, or 03.05.2026 09:00 with the day first); of an hour that the
    clocks repeat, the first.

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
