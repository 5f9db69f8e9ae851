"""How long the texts of an action may be, and which years."""

from datetime import date
from typing import Final

from portal.services.assets.rules import YEARS
from portal.services.core.refusals import Refusal

LONGEST: Final = {
    "reason": 200,
    "rejection_reason": 200,
    "purpose": 200,
    "title": 120,
    "supplier": 120,
    "recipient": 120,
}
LONGEST_NUMBER: Final = 60
LONGEST_OTHER: Final = 1000
CALLED: Final = {"rma_number": "return number"}


def longest(name: str) -> int:
    """How many characters the text of this name may have."""
    return LONGEST_NUMBER if name.endswith("_number") else LONGEST.get(name, LONGEST_OTHER)


def refuse_long(**texts: str | None) -> None:
    """Refuse the first text that is longer than its column, at the field of its name."""
    for name, text in texts.items():
        if len(text or "") > longest(name):
            called = CALLED.get(name, name.replace("_", " "))
            raise Refusal(f"Use at most {longest(name):,} characters in the {called}", field=name)


def refuse_odd_year(**days: date | None) -> None:
    """Refuse the first day or time whose year nobody meant, at the field of its name.

    A year at the end of the calendar could not even be shown in every time zone.
    """
    for name, day in days.items():
        if day is not None and day.year not in YEARS:
            raise Refusal("Check the year", field=name)
