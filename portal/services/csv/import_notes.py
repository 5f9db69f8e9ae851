"""What a check notes once for the file: names that are added, cells that are left out. Pure.

{"category": {"chairs": ["Chairs", 118]}, "location": …, "single": 3, "counted": 1}: how many rows.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from portal.models.assets import AssetKind
from portal.services.assets.rules import AssetValues
from portal.services.csv.import_values import Cells

MOST_NAMES: Final = 100  # of each list; the rows of all others are counted together
OTHERS: Final = ""
SINGLE: Final = "single"  # a number, for a thing that has none
COUNTED: Final = "counted"  # a quantity, for stock that only its moves change
STOCK_NOTES: Final = ("quantity", "min_quantity", "unit")

Notes = dict[str, Any]


def noted(notes: Notes, adds: Mapping[str, str], kind: str, left_out: Cells) -> Notes:
    """The notes with those of one more row."""
    after = deepcopy(notes)
    for called, name in adds.items():
        names = after.setdefault(called, {})
        key = name.lower()
        if key not in names and len(names) >= MOST_NAMES:
            key = OTHERS
        spelt, count = names.get(key, (name if key else OTHERS, 0))
        names[key] = [spelt, count + 1]
    if left_out:
        called = SINGLE if kind == AssetKind.ITEM else COUNTED
        after[called] = after.get(called, 0) + 1
    return after


def left_out(values: AssetValues, cells: Cells) -> dict[str, str]:
    """The cells of a row that an asset with these values does not take over."""
    said = {name: cells[name] for name in STOCK_NOTES if cells.get(name)}
    quantity = said.get("quantity", "")
    if values.kind == AssetKind.ITEM:  # there is one of it
        return {name: text for name, text in said.items() if (name, text) != ("quantity", "1")}
    is_same = not quantity or quantity.lstrip("0") == str(values.quantity or "")
    return {} if is_same else {"quantity": quantity}


def remark(left_out: Cells) -> str:
    """The same in words; nothing where nothing is left out."""
    said = ", ".join(f"{name} {text[:40]}" for name, text in left_out.items())
    return f"Left out: {said}" if said else ""
