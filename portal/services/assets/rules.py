"""What an asset's own values must be like, one sentence a fault. Pure: no database."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from portal.models.assets import AssetKind, Condition

TAG: Final = re.compile(r"[A-Za-z0-9._/-]+")
LONGEST_TAG: Final = 40
LONGEST_NOTES: Final = 10_000
DEAREST: Final = Decimal("9999999999.99")  # what decimal(12,2) holds
YEARS: Final = range(1900, 2201)

# The short texts, how a sentence calls them, and their longest length.
TEXTS: Final = {
    "name": "name",
    "manufacturer": "manufacturer",
    "model": "model",
    "serial_number": "serial number",
    "supplier": "supplier",
    "order_number": "order number",
}
LONGEST_UNIT: Final = 40
MOST_IN_STOCK: Final = 1_000_000_000
LONGEST_TEXT: Final = 120
LENGTHS: Final = {
    **dict.fromkeys(TEXTS, LONGEST_TEXT),
    "asset_tag": LONGEST_TAG,
    "notes": LONGEST_NOTES,
    "unit": LONGEST_UNIT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetValues:
    """What a person may say of an asset; only actions move status, holder and quantity.

    An empty `asset_tag` asks for the next number. Money is in the installation's currency. `kind`
    and `quantity` count when the asset is added, and never again.
    """

    asset_tag: str = ""
    name: str
    category_id: int | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    condition: str = Condition.GOOD
    location_id: int | None = None
    supplier: str | None = None
    order_number: str | None = None
    purchase_date: date | None = None
    purchase_cost: Decimal | None = None
    warranty_expires: date | None = None
    reservable: bool = True
    notes: str | None = None
    kind: str = AssetKind.ITEM
    quantity: int | None = None
    min_quantity: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field, in words that say what to change."""

    field: str
    sentence: str


def faults(values: AssetValues) -> list[Fault]:
    """Everything that keeps these values out of the register, in the order of the form."""
    return [
        *_of_texts(values),
        *_of_tag(values),
        *_of_choices(values),
        *_of_numbers(values),
        *_of_stock(values),
    ]


def _of_tag(values: AssetValues) -> Iterator[Fault]:
    if not values.asset_tag:
        return
    if len(values.asset_tag) > LONGEST_TAG:
        yield Fault("asset_tag", f"Use at most {LONGEST_TAG} characters in the asset tag")
    elif not TAG.fullmatch(values.asset_tag):
        allowed = "Use only letters without accents, digits and . _ / - in the asset tag"
        yield Fault("asset_tag", allowed)


def _of_texts(values: AssetValues) -> Iterator[Fault]:
    if not values.name:
        yield Fault("name", "Enter the name of the asset")
    for field, called in TEXTS.items():
        if len(getattr(values, field) or "") > LONGEST_TEXT:
            yield Fault(field, f"Use at most {LONGEST_TEXT} characters in the {called}")
    if len(values.notes or "") > LONGEST_NOTES:
        yield Fault("notes", f"Use at most {LONGEST_NOTES:,} characters in the notes")


def _of_choices(values: AssetValues) -> Iterator[Fault]:
    if values.kind not in set(AssetKind):
        yield Fault("kind", "Choose whether it is a single item or stock")
    if values.condition not in set(Condition):
        yield Fault("condition", "Choose the condition from the list")


def _of_numbers(values: AssetValues) -> Iterator[Fault]:
    cost = values.purchase_cost
    if cost is not None and not (cost.is_finite() and 0 <= cost <= DEAREST):
        yield Fault("purchase_cost", f"Enter a purchase cost from 0 to {DEAREST:,}")
    elif cost is not None and cost != round(cost, 2):
        yield Fault("purchase_cost", "Use at most two decimals in the purchase cost")
    bought, ends = values.purchase_date, values.warranty_expires
    for field, called, day in (
        ("purchase_date", "purchase date", bought),
        ("warranty_expires", "end of the warranty", ends),
    ):
        if day and day.year not in YEARS:
            yield Fault(field, f"Check the year of the {called}")
    if bought and ends and ends < bought:
        yield Fault("warranty_expires", "The warranty cannot end before the purchase date")


def _of_stock(values: AssetValues) -> Iterator[Fault]:
    if values.kind == AssetKind.STOCK and values.quantity is None:
        yield Fault("quantity", "Enter how many there are")
    for field, number in (("quantity", values.quantity), ("min_quantity", values.min_quantity)):
        if number is not None and not 0 <= number <= MOST_IN_STOCK:
            yield Fault(field, f"Enter a number from 0 to {MOST_IN_STOCK:,}")
    if len(values.unit or "") > LONGEST_UNIT:
        yield Fault("unit", f"Use at most {LONGEST_UNIT} characters in the unit")
