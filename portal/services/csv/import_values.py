"""From the cells of one row to what the register keeps; every problem in a sentence. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from portal.lib.typed_values import TypedValueError, read_amount, read_count, read_day
from portal.models.assets import Condition
from portal.services.assets.rules import MOST_IN_STOCK, AssetValues

Cells = Mapping[str, str]

YES: Final = frozenset({"yes", "y", "true", "1"})
NO: Final = frozenset({"no", "n", "false", "0"})
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


def _typed(read: Callable[[str], Any]) -> Callable[[str, str], Any]:
    """The reader of a cell, from one of a text."""

    def read_cell(name: str, text: str) -> Any:
        try:
            return read(text)
        except TypedValueError as error:
            why = f": {error.why}" if error.why else ""
            sentence = f"Enter {name} {error.expected}, not “{text[:40]}”{why}"
            raise CellError(sentence) from None

    return read_cell


def _count(name: str, text: str) -> int:
    number: int = _typed(read_count)(name, text)
    if number > MOST_IN_STOCK:
        raise CellError(f"Enter {name} from 0 to {MOST_IN_STOCK:,}, not “{text[:40]}”")
    return number


def _answer(name: str, text: str) -> bool:
    if text.lower() in YES | NO:
        return text.lower() in YES
    raise CellError(f"Enter yes or no in {name}, not “{text[:40]}”")


def _condition(name: str, text: str) -> str:
    if text.lower() in set(Condition):
        return text.lower()
    raise CellError(f"Enter one of {', '.join(Condition)} in {name}, not “{text[:40]}”")


DAY: Final = _typed(read_day)
READERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "purchase_date": DAY,
    "purchase_cost": _typed(read_amount),
    "warranty_expires": DAY,
    "condition": _condition,
    "reservable": _answer,
    "min_quantity": _count,
}
