"""A form with every kind of field."""

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    DecimalField,
    FieldList,
    Form,
    FormField,
    HiddenField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    URLField,
)
from wtforms.fields import SelectChoice
from wtforms.validators import DataRequired, Length, Optional

GROUPS = [
    (
        "Asset lifecycle",
        [
            ("asset.created", "Asset created", "Something new is in the register", "asset.created"),
            ("asset.updated", "Asset changed", "A field has another value", "asset.updated"),
            ("asset.deleted", "Asset deleted", "It left the register", "asset.deleted"),
        ],
    ),
    (
        "Maintenance and transfers",
        [
            (
                "asset.maintenance_scheduled",
                "Maintenance planned",
                "Someone set a date for work on it",
                "asset.maintenance_scheduled",
            ),
            ("asset.transferred", "Asset moved", "It is at another place", "asset.transferred"),
        ],
    ),
]


class HeaderForm(Form):
    """One row of custom headers."""

    name = StringField("Header name", [DataRequired("Enter the header's name")])
    value = StringField("Value")


class GalleryForm(FlaskForm):
    """Text, URL, checkbox groups, radio buttons, rows, select, number, date, textarea, checkbox."""

    name = StringField(
        "Webhook name", [DataRequired("Enter a name")], description="For example “Sync to ERP”"
    )
    url = URLField("Webhook URL", [DataRequired("Enter the address that deliveries go to")])
    events = SelectMultipleField(
        "Events",
        [DataRequired("Choose at least one event")],
        choices=[SelectChoice(value, name) for _, events in GROUPS for value, name, _, _ in events],
    )
    secret_mode = RadioField(
        "Secret key",
        choices=[
            SelectChoice("generate", "Create one"),
            SelectChoice("own", "Use my own"),
            SelectChoice("none", "No secret"),
        ],
        default="generate",
    )
    secret = StringField("Your secret key")
    headers = FieldList(FormField(HeaderForm), "Custom headers", min_entries=1)
    location_id = SelectField(
        "Location",
        [DataRequired("Choose a location")],
        choices=[SelectChoice("", "Choose one"), SelectChoice("1", "Graz")],
    )
    purchase_cost = DecimalField("Purchase cost", [Optional()])
    purchase_date = DateField("Purchase date", [Optional()])
    notes = TextAreaField("Notes", [Length(max=500)])
    reservable = BooleanField("People may reserve this", description="It shows in the calendar")
    once = HiddenField(default="0190-abc")
