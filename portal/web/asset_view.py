"""An asset in words: its state, its facts, what happened to it, and what narrows the list."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from flask import current_app
from wtforms import Field

from portal.models.assets import Activity, Asset, AssetKind
from portal.web.forms.assets import AssetFilterForm
from portal.web.frame import page_url
from portal.web.stale import shown
from portal.web.status_words import ASSET
from portal.web.timeline_words import DONE, MOVED
from portal.web.wording import zone

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
LONGEST_IN_TIMELINE: Final = 160
OF_STOCK: Final = frozenset({"quantity", "min_quantity", "unit"})
OF_ITEMS: Final = frozenset({"reservable"})
DATES: Final = frozenset({"purchase_date", "warranty_expires"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that was changed."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the timeline."""

    title: str
    tone: str
    by: str
    at: datetime
    note: str
    differences: Sequence[Difference]


def facts_of(asset: Asset) -> list[tuple[str, str]]:
    """Everything known of the asset but its tag and name, in the order of the form."""
    named = {"category": asset.category, "location": asset.location}
    left_out = {"asset_tag", "name"} | (OF_ITEMS if asset.kind == AssetKind.STOCK else OF_STOCK)
    names = [name for name in LABELS if name not in left_out]
    return [(LABELS[name], _known(asset, name, named)) for name in names]


def lines(activities: Sequence[Activity]) -> list[Line]:
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
    value = getattr(asset, name)
    if name == "purchase_cost" and value is not None:
        return f"{value:,.2f} {current_app.extensions['settings'].currency}"
    return in_words(name, value)


def _line(activity: Activity) -> Line:
    title, tone = DONE.get(activity.action, (activity.action.replace("_", " ").capitalize(), ""))
    differences = list(_differences(activity.changes))
    return Line(title, tone, activity.actor_name, activity.at, activity.note, differences)


def _differences(changes: Mapping[str, Any]) -> Iterator[Difference]:
    for name, change in changes.items():
        label = (LABELS | MOVED).get(name, name.replace("_", " ").capitalize())
        none = "nobody" if name == "holder" else "nothing"
        sides = (_briefly(in_words(name, change[side])) for side in ("from", "to"))
        before, after = (words or none for words in sides)
        yield Difference(label, before, after)


def _briefly(words: str) -> str:
    return words if len(words) <= LONGEST_IN_TIMELINE else f"{words[:LONGEST_IN_TIMELINE]}…"


def in_words(name: str, value: Any) -> str:
    """A field's value for people: dates as they are written, choices as words, names of places."""
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
    if name == "condition":
        return str(value).capitalize()
    if name == "status":
        return ASSET[str(value)].word
    return str(value)
