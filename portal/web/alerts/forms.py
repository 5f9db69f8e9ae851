"""The form of the alert settings. The fields are named as the columns."""

from datetime import time
from typing import Any, Final

from wtforms import BooleanField, Field
from wtforms.validators import InputRequired
from wtforms.widgets import TimeInput

from portal.engine.events.catalogue import EventName
from portal.services.alerts.rules import MOST_DAYS, AlertRules
from portal.services.alerts.settings import Stored
from portal.web.forms.base import PortalForm
from portal.web.forms.parsing import TypedField, number_or_none
from portal.web.forms.versions import VersionField

# The fields that are named as the columns; the time of day is not.
COLUMNS: Final = tuple(name for name in AlertRules.__dataclass_fields__ if name != "at")
# What belongs together on the page.
PARTS: Final = (
    (EventName.CHECKOUT_OVERDUE, "overdue_on", "repeat_every_days"),
    (EventName.MAINTENANCE_DUE, "maintenance_on", "maintenance_days"),
    (EventName.WARRANTY_EXPIRING, "warranty_on", "warranty_days"),
    (EventName.LOW_STOCK, "low_stock_on"),
)


def read_time(text: str) -> time:
    """A time of day as browsers send it; seconds do not count."""
    try:
        moment = time.fromisoformat(text)
    except ValueError:
        raise ValueError("as hours and minutes, such as 07:00") from None
    return time(moment.hour, moment.minute)


class DaysField(TypedField):
    """A number of days. `called`: in the sentences about what cannot be read."""

    def __init__(
        self, label: str, *, called: str, least: int, is_needed: bool = True, **options: Any
    ) -> None:
        limits = f"in digits, from {least} to {MOST_DAYS}"

        def read(text: str) -> int:
            days = number_or_none(text)
            if days is None or not least <= days <= MOST_DAYS:
                raise ValueError(limits)
            return days

        super().__init__(
            label,
            read=read,
            called=called,
            validators=[InputRequired(f"Enter the {called} {limits}")] if is_needed else [],
            render_kw={"autocomplete": "off", "inputmode": "numeric", "maxlength": 3},
            **options,
        )


class TimeField(TypedField):
    """A time of day, typed as the organisation's clock shows it."""

    def _value(self) -> str:
        if self.raw_data or not isinstance(self.data, time):
            return super()._value()
        return f"{self.data:%H:%M}"


class AlertSettingsForm(PortalForm):
    """The form of the alert settings."""

    version = VersionField()
    overdue_on = BooleanField("A checked-out asset is overdue")
    repeat_every_days = DaysField(
        "Repeat reminder every",
        called="number of days between reminders",
        least=1,
        is_needed=False,
        description="Leave blank to alert once",
    )
    maintenance_on = BooleanField("Maintenance is due or late")
    maintenance_days = DaysField("Days before it’s due", called="days before maintenance", least=0)
    warranty_on = BooleanField("A warranty ends soon")
    warranty_days = DaysField("Days before it ends", called="days before a warranty ends", least=0)
    low_stock_on = BooleanField(
        "A consumable falls below its threshold",
        description="Sent when the stock changes or with the daily check",
    )
    time_of_day = TimeField(
        "Time of day",
        read=read_time,
        widget=TimeInput(),
        validators=[InputRequired("Enter the time of day as hours and minutes, such as 07:00")],
    )

    @property
    def parts(self) -> list[tuple[str, list[Field]]]:
        """(event, fields) of each kind of alert."""
        return [(event, [self[name] for name in names]) for event, *names in PARTS]

    @classmethod
    def of(cls, stored: Stored, **options: Any) -> "AlertSettingsForm":
        """The form, filled with the settings in force where nothing was sent."""
        values = {name: getattr(stored.rules, name) for name in COLUMNS}
        values |= {"time_of_day": stored.rules.at, "version": stored.version}
        return cls(data=values, **options)

    def rules(self) -> AlertRules:
        """The entered values."""
        values = {name: self[name].data for name in COLUMNS}
        return AlertRules(**values, at=self.time_of_day.data)
