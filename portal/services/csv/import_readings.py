"""Find how the dates and amounts of a column are to be read: one way throughout, or ask. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portal.lib.typed_values import (
    DayOrder,
    OtherCurrencyError,
    amounts_in,
    days_in,
    without_currency,
)
from portal.services.assets.fields import FieldType, fields_of_type

# {column of ours: `DayOrder` of its dates, or `DecimalSign` of its amounts}
Readings = Mapping[str, str]
READ: Final = {field.name: field.type for field in fields_of_type(FieldType.DAY, FieldType.MONEY)}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column is read. `found`: the reading that its values decide; nothing where they do not.

    `choices`: {reading: (a text that tells them apart, its value)}; none where every text can be
    read in one way only. `leans`: what is likely, and not certain.
    """

    found: str = ""
    choices: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    leans: str = ""


def reading_of(ours: str, texts: Iterable[str], currency: str, *, is_workbook: bool) -> Reading:
    """Return how the texts below one heading are to be read. What cannot be read decides nothing.

    `is_workbook`: its numbers have come to us as texts with a point, whatever was typed around
    them. So a point before three digits is asked about.
    """
    each = {text: found for text in set(texts) if (found := values_in(ours, text, currency))}
    doubtful = sorted(text for text, found in each.items() if len(set(found.values())) > 1)
    if not doubtful:
        return Reading()
    common = set.intersection(*map(set, each.values()))
    is_money = READ[ours] is FieldType.MONEY
    is_found = len(common) == 1 and not (is_money and is_workbook)
    offered = common if len(common) > 1 else {way for text in doubtful for way in each[text]}
    choices = {way: _example(way, doubtful, each) for way in _in_order(offered)}
    is_dotted = all("." in text for text in doubtful) and not is_money
    leans = next(iter(common)) if len(common) == 1 else DayOrder.DAY_FIRST if is_dotted else ""
    return Reading(next(iter(common)) if is_found else "", choices, leans)


def values_in(ours: str, text: str, currency: str) -> Mapping[str, Any]:
    """Return every value that the text may have in a column of ours, by its reading."""
    return VALUES[READ[ours]](text, currency)


def is_value(ours: str, text: str, currency: str) -> bool:
    """Return whether the text is such a value at all, be it of another currency."""
    if READ[ours] is FieldType.DAY:
        return bool(days_in(text))
    try:
        return bool(amounts_in(without_currency(text, currency)))
    except OtherCurrencyError:
        return True


def _amounts(text: str, currency: str) -> Mapping[str, Any]:
    try:
        return amounts_in(without_currency(text, currency))
    except OtherCurrencyError:  # of another currency, and written as people do there
        return {}


VALUES: Final[Mapping[FieldType, Callable[[str, str], Mapping[str, Any]]]] = {
    FieldType.DAY: lambda text, _currency: days_in(text),
    FieldType.MONEY: _amounts,
}


def _in_order(ways: Collection[str]) -> list[str]:
    return [way for way in (*DayOrder, ".", ",") if way in ways]


def _example(
    way: str, doubtful: Iterable[str], each: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Any]:
    text = next(text for text in doubtful if way in each[text])
    return text, each[text][way]
