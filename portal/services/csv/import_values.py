"""From the cells of one row to what the register keeps; every problem in a sentence. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from portal.lib.amounts import read_amount
from portal.models.assets import Condition
from portal.services.assets.rules import AssetValues

Cells = Mapping[str, str]

YES: Final = frozenset({"yes", "y", "true", "1"})
NO: Final = frozenset({"no", "n", "false", "0"})
DOTTED: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
TEXTS: Final = (
    "asset_tag",
    "name",
    "manufacturer",
    "model",
    "serial_number",
    "supplier",
    "order_number",
    "unit",
    "notes",
)


class CellError(ValueError):
    """What stands in one cell cannot be kept; the text says what is expected."""


def filled(values: AssetValues, cells: Cells) -> AssetValues:
    """`values` with what the cells say; a blank cell leaves its value alone. Raises `CellError`.

    Category, location and person are looked up by the caller; kind and quantity count for new
    rows alone.
    """
    found: dict[str, Any] = {name: cells[name] for name in TEXTS if cells.get(name)}
    for name, read in READERS.items():
        if cells.get(name):
            found[name] = read(name, cells[name])
    return replace(values, **found)


def kind_of(cells: Cells) -> str:
    """Item unless the row says otherwise."""
    return cells.get("kind", "").lower() or "item"


def quantity_of(cells: Cells) -> int | None:
    """How many a new stock begins with."""
    return _count("quantity", cells["quantity"]) if cells.get("quantity") else None


def _day(name: str, text: str) -> date:
    dotted = DOTTED.fullmatch(text)  # as many spreadsheets write it: the day first
    try:
        return date(*map(int, dotted.group(3, 2, 1))) if dotted else date.fromisoformat(text)
    except ValueError:
        expected = "as year, month and day, such as 2026-05-03"
        raise CellError(f"Enter {name} {expected}, not “{text[:40]}”") from None


def _amount(name: str, text: str) -> Decimal:
    try:
        return read_amount(text)
    except ValueError:
        sentence = f"Enter {name} in digits, such as 1250.00, not “{text[:40]}”"
        raise CellError(sentence) from None


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise CellError(f"Enter {name} in digits, such as 25, not “{text[:40]}”")
    return int(text)


def _answer(name: str, text: str) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    raise CellError(f"Enter yes or no in {name}, not “{text[:40]}”")


def _condition(name: str, text: str) -> str:
    if text.lower() in set(Condition):
        return text.lower()
    raise CellError(f"Enter one of {', '.join(Condition)} in {name}, not “{text[:40]}”")


READERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "purchase_date": _day,
    "purchase_cost": _amount,
    "warranty_expires": _day,
    "condition": _condition,
    "reservable": _answer,
    "min_quantity": _count,
}
