"""Define the form of the alert settings. Field names are column names."""

import re
from dataclasses import fields
from datetime import time
from typing import Any, Final

from wtforms import BooleanField, Field, TextAreaField
from wtforms.validators import InputRequired
from wtforms.widgets import TimeInput

from portal.engine.events.catalogue import EventName
from portal.lib.typed_values import tidy_email
from portal.services.alerts.rules import MOST_DAYS, AlertRules
from portal.services.alerts.settings import (
    ADDRESSES,
    CALLED,
    LONGEST_HOLDER_TEXT,
    MOST_ADDRESSES,
    Emails,
    Stored,
)
from portal.web.forms.base import PortalForm, typed
from portal.web.forms.parsing import TypedField, number_or_none
from portal.web.forms.versions import VersionField

# Fields that are named as their columns. The time of day is not.
COLUMNS: Final = tuple(name for name in AlertRules.__dataclass_fields__ if name != "at")
# Fields that belong together on the page.
PARTS: Final = (
    (EventName.CHECKOUT_OVERDUE, "overdue_on", "repeat_every_days"),
    (EventName.MAINTENANCE_DUE, "maintenance_on", "maintenance_days"),
    (EventName.WARRANTY_EXPIRING, "warranty_on", "warranty_days"),
    (EventName.LOW_STOCK, "low_stock_on"),
)
# Separators of pasted addresses.
BETWEEN: Final = re.compile(r"[\n,;]")
OF_EMAILS: Final = tuple(field.name for field in fields(Emails))


def read_time(text: str) -> time:
    """Parse a time of day as browsers send it, without seconds. Raises `ValueError`."""
    try:
        moment = time.fromisoformat(text)
    except ValueError:
        raise ValueError("as hours and minutes, such as 07:00") from None
    return time(moment.hour, moment.minute)


class DaysField(TypedField):
    """A number of days. `called`: its name in error messages."""

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
    """A time of day in the organization's time zone."""

    def _value(self) -> str:
        if self.raw_data or not isinstance(self.data, time):
            return super()._value()
        return f"{self.data:%H:%M}"


def addresses_field(event: EventName) -> TextAreaField:
    """Return the field for the addresses that get emails of one kind."""
    return TextAreaField(
        f"Email {CALLED[event]} alerts to",
        description=f"Email addresses, one per line, up to {MOST_ADDRESSES}",
        render_kw={"rows": 2, "autocomplete": "off", "spellcheck": "false"},
    )


class AlertSettingsForm(PortalForm):
    version = VersionField()
    overdue_on = BooleanField("A checked-out asset is overdue")
    repeat_every_days = DaysField(
        "Repeat overdue alerts every",
        called="number of days between repeats",
        least=1,
        is_needed=False,
        description="Leave blank to send each alert once",
    )
    maintenance_on = BooleanField("Maintenance is due or late")
    maintenance_days = DaysField("Days before it’s due", called="days before maintenance", least=0)
    warranty_on = BooleanField("A warranty ends soon")
    warranty_days = DaysField("Days before it ends", called="days before a warranty ends", least=0)
    low_stock_on = BooleanField(
        "A consumable falls below its threshold",
        description="Sent when the stock changes or with the daily check",
    )
    mail_overdue = addresses_field(EventName.CHECKOUT_OVERDUE)
    mail_maintenance = addresses_field(EventName.MAINTENANCE_DUE)
    mail_warranty = addresses_field(EventName.WARRANTY_EXPIRING)
    mail_low_stock = addresses_field(EventName.LOW_STOCK)
    remind_holder = BooleanField(
        "Email the holder when an asset is overdue",
        description="The reminder names the asset and its due date",
    )
    holder_text = TextAreaField(
        "Your text in the reminder",
        description="One paragraph, such as where to return the asset",
        render_kw={"rows": 2, "maxlength": LONGEST_HOLDER_TEXT},
    )
    time_of_day = TimeField(
        "Time of day",
        read=read_time,
        widget=TimeInput(),
        validators=[InputRequired("Enter the time of day as hours and minutes, such as 07:00")],
    )

    @property
    def parts(self) -> list[tuple[str, list[Field], Field]]:
        """Return (event, fields, addresses field) of each kind of alert."""
        return [
            (event, [self[name] for name in names], self[ADDRESSES[event]])
            for event, *names in PARTS
        ]

    @classmethod
    def of(cls, stored: Stored, **options: Any) -> "AlertSettingsForm":
        """Return the form with submitted values, or with stored ones if nothing was submitted."""
        values = {name: getattr(stored.rules, name) for name in COLUMNS}
        values |= {name: getattr(stored.emails, name) for name in OF_EMAILS}
        values |= {name: "\n".join(values[name]) for name in ADDRESSES.values()}
        values |= {"time_of_day": stored.rules.at, "version": stored.version}
        return cls(data=values, **options)

    def rules(self) -> AlertRules:
        """Return the entered rules."""
        values = {name: self[name].data for name in COLUMNS}
        return AlertRules(**values, at=self.time_of_day.data)

    def emails(self) -> Emails:
        """Return the entered recipients of emails, and the text of the reminder."""
        values = {name: self[name].data for name in OF_EMAILS}
        lines = {name: BETWEEN.split(typed(self[name])) for name in ADDRESSES.values()}
        return Emails(**{**values, "holder_text": typed(self.holder_text), **lines})

    def repeated(self) -> list[str]:
        """Return addresses that were entered twice for one kind, and are stored once."""
        entered = [
            [tidy_email(line) for line in BETWEEN.split(typed(self[name]))]
            for name in ADDRESSES.values()
        ]
        return sorted(
            {line for lines in entered for line in lines if line and lines.count(line) > 1}
        )
