"""A field for a date with a time of day, typed in the person's own zone."""

from datetime import UTC, datetime
from typing import Any

from wtforms.widgets import DateTimeLocalInput

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
    """A local date and time (ISO 8601); of an hour that the clocks repeat, the first.

    An hour that they skip is no time at all: taken for another one, it would be wrong unsaid.
    """
    try:
        typed = datetime.fromisoformat(text)
        local = typed.replace(tzinfo=typed.tzinfo or zone())
        moment = local.astimezone(UTC)
        there = moment.astimezone(local.tzinfo)
    except (ValueError, OverflowError):
        raise ValueError("as date and time, such as 2026-05-03 09:00") from None
    if there.replace(tzinfo=None) != typed.replace(tzinfo=None):
        raise ValueError("before or after the hour that the clocks skip that night")
    return moment
