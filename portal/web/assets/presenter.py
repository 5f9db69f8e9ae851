"""An asset in words: its state, its facts, what happened to it, and what narrows the list."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from flask import current_app
from wtforms import Field

from portal.engine.events.names import EventName
from portal.lib.excerpts import excerpts
from portal.models.assets import Action, Activity, Asset, AssetKind
from portal.web.assets.forms import AssetFilterForm
from portal.web.forms.edit_conflict import shown
from portal.web.frame.page_frame import page_url
from portal.web.frame.status_tags import ASSET
from portal.web.frame.wording import zone

# The words, and the colour of the dot.
DONE: Final[Mapping[str, tuple[str, str]]] = {
    Action.CREATE: ("Added to the register", "success"),
    Action.EDIT: ("Changed", "info"),
    Action.DELETE: ("Deleted", "danger"),
    Action.RESTORE: ("Restored", "success"),
    Action.ALLOCATE: ("Given permanently", "info"),
    Action.REVOKE: ("Taken back", "success"),
    Action.CHECK_OUT: ("Lent", "info"),
    Action.CHECK_IN: ("Checked in", "success"),
    Action.CHANGE_DUE_DATE: ("Due date changed", "info"),
    Action.RESERVE: ("Reservation requested", "info"),
    Action.APPROVE_RESERVATION: ("Reservation approved", "success"),
    Action.REJECT_RESERVATION: ("Reservation rejected", "warning"),
    Action.CANCEL_RESERVATION: ("Reservation cancelled", "warning"),
    Action.EXPIRE_RESERVATION: ("Reservation ran out: nobody collected it", "warning"),
    Action.SCHEDULE_MAINTENANCE: ("Maintenance scheduled", "info"),
    Action.START_MAINTENANCE: ("Maintenance started", "warning"),
    Action.COMPLETE_MAINTENANCE: ("Maintenance completed", "success"),
    Action.CANCEL_MAINTENANCE: ("Maintenance cancelled", "warning"),
    Action.TRANSFER: ("Moved to another place", "info"),
    Action.REPORT_LOST: ("Reported lost", "danger"),
    Action.REPORT_BROKEN: ("Reported broken", "danger"),
    Action.SEND_TO_WARRANTY: ("Sent for a warranty claim", "warning"),
    Action.LIQUIDATE: ("Disposed of", "danger"),
    Action.RECEIVE_BACK: ("Received back", "success"),
    Action.REPAIR: ("Repaired", "success"),
    Action.FIND: ("Found", "success"),
    Action.UNDO_LIQUIDATION: ("Disposal undone", "success"),
    Action.RECEIVE_STOCK: ("Stock received", "success"),
    Action.ISSUE_STOCK: ("Stock issued", "info"),
    Action.ADJUST_STOCK: ("Stock counted", "info"),
    EventName.WARRANTY_EXPIRING: ("Alert: the warranty ends soon", "warning"),
    EventName.MAINTENANCE_DUE: ("Alert: maintenance is due", "warning"),
    EventName.CHECKOUT_OVERDUE: ("Alert: not returned in time", "danger"),
    EventName.LOW_STOCK: ("Alert: low stock", "warning"),
}

# What no form changes; the fields that forms change are named as on the form.
MOVED: Final[dict[str, str]] = {"status": "Status", "holder": "With", "due_at": "Due back"}

# The fields of an asset, as its page and its timeline call them.
LABELS: Final[dict[str, str]] = {
    "name": "Name",
    "asset_tag": "Asset tag",
    "category": "Category",
    "location": "Location",
    "quantity": "How many there are",
    "min_quantity": "Low below",
    "unit": "Unit",
    "condition": "Condition",
    "reservable": "People may reserve it",
    "manufacturer": "Manufacturer",
    "model": "Model",
    "serial_number": "Serial number",
    "supplier": "Supplier",
    "order_number": "Order number",
    "purchase_date": "Purchase date",
    "purchase_cost": "Purchase cost",
    "warranty_expires": "Warranty ends on",
    "notes": "Notes",
}
OF_STOCK: Final = frozenset({"quantity", "min_quantity", "unit"})
OF_ITEMS: Final = frozenset({"reservable"})
DATES: Final = frozenset({"purchase_date", "warranty_expires"})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that was changed. `before` and `after` say "nothing" where it is blank."""

    label: str
    before: str
    after: str
    was_blank: bool


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """One entry of the timeline."""

    title: str
    tone: str
    by: str
    at: datetime
    note: str
    differences: Sequence[FieldChange]


def facts_of(asset: Asset) -> list[tuple[str, str]]:
    """Everything known of the asset but its tag and name, in the order of the form."""
    named = {"category": asset.category, "location": asset.location}
    left_out = {"asset_tag", "name"} | (OF_ITEMS if asset.kind == AssetKind.STOCK else OF_STOCK)
    names = [name for name in LABELS if name not in left_out]
    return [(LABELS[name], _known(asset, name, named)) for name in names]


def lines(activities: Sequence[Activity]) -> list[TimelineLine]:
    """The timeline's rows as people read them."""
    return [_line(activity) for activity in activities]


def filter_chips(form: AssetFilterForm) -> list[dict[str, str]]:
    """The filters in force, each with the address without it."""
    return [
        {
            "label": f"{_short(field)}: {shown(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.name != "show" and field.data and shown(field)
    ]


def _short(field: Field) -> str:
    return "Search" if field.name == "q" else str(field.label.text)


def _known(asset: Asset, name: str, named: Mapping[str, Any]) -> str:
    if name in named:
        return named[name].name if named[name] else ""
    return in_words(name, getattr(asset, name))


def _line(activity: Activity) -> TimelineLine:
    title, tone = DONE.get(activity.action, (activity.action.replace("_", " ").capitalize(), ""))
    changed = list(differences(activity.changes))
    return TimelineLine(title, tone, activity.actor_name, activity.at, activity.note, changed)


def differences(changes: Mapping[str, Any]) -> Iterator[FieldChange]:
    """The changed fields, {field: {from, to}}, as people read them."""
    for name, change in changes.items():
        label = (LABELS | MOVED).get(name, name.replace("_", " ").capitalize())
        none = "nobody" if name == "holder" else "nothing"
        before, after = excerpts(in_words(name, change["from"]), in_words(name, change["to"]))
        yield FieldChange(label, before or none, after or none, was_blank=not before)


def in_words(name: str, value: Any) -> str:
    """A field's value for people: dates and money as they are written, choices as words, names."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return str(value.get("name", ""))
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if name in DATES:
        day = value if isinstance(value, date) else date.fromisoformat(str(value))
        return f"{day.day} {day:%B %Y}"
    if name == "due_at":
        local = datetime.fromisoformat(str(value)).astimezone(zone())
        return f"{local.day} {local:%B %Y %H:%M}"
    if name == "purchase_cost":
        return f"{Decimal(value):,.2f} {current_app.extensions['settings'].currency}"
    if name == "condition":
        return str(value).capitalize()
    if name == "status":
        return ASSET[str(value)].word
    return str(value)
