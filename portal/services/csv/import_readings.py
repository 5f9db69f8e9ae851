"""Decide how to read a column's dates and amounts, or that a person must choose."""

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

# Our column → the `DayOrder` of its dates or the `DecimalSign` of its amounts.
Readings = Mapping[str, str]
READ: Final = {field.name: field.type for field in fields_of_type(FieldType.DAY, FieldType.MONEY)}


@dataclass(frozen=True, slots=True)
class Reading:
    """The reading of a column. `found` is the reading that its values determine, or "".

    `choices` maps each possible reading to (ambiguous text, its value). It is empty if no text is
    ambiguous. `leans` is a likely but uncertain reading.
    """

    found: str = ""
    choices: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    leans: str = ""


def reading_of(ours: str, texts: Iterable[str], currency: str, *, is_workbook: bool) -> Reading:
    """Return the reading of the texts below one heading, ignoring unreadable texts.

    Numbers from a workbook (`is_workbook`) arrive as texts with a decimal point, whatever people
    typed around them. So a person is asked about a point before three digits.
    """
    by_text = _without_same(
        {text: values for text in set(texts) if (values := values_in(ours, text, currency))}
    )
    doubtful = sorted(text for text, values in by_text.items() if len(set(values.values())) > 1)
    if not doubtful:
        return Reading()
    common = set.intersection(*map(set, by_text.values()))
    if common == {DayOrder.DAY_FIRST, DayOrder.DOTS_DAY_FIRST}:
        common = {DayOrder.DAY_FIRST}
    is_money = READ[ours] is FieldType.MONEY
    is_found = len(common) == 1 and not (is_money and is_workbook)
    offered = common if len(common) > 1 else {way for text in doubtful for way in by_text[text]}
    choices = {way: _example(way, doubtful, by_text) for way in _in_order(offered)}
    is_dotted = all("." in text for text in doubtful) and not is_money
    leans = next(iter(common)) if len(common) == 1 else DayOrder.DAY_FIRST if is_dotted else ""
    return Reading(next(iter(common)) if is_found else "", choices, leans)


def _without_same(by_text: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Leave out `DOTS_DAY_FIRST` if another order gives the same days."""
    mixed = DayOrder.DOTS_DAY_FIRST
    for order in (DayOrder.DAY_FIRST, DayOrder.MONTH_FIRST):
        if all(values.get(mixed) == values.get(order) for values in by_text.values()):
            return {
                text: {way: value for way, value in values.items() if way != mixed}
                for text, values in by_text.items()
            }
    return by_text


def values_in(ours: str, text: str, currency: str) -> Mapping[str, Any]:
    """Return every possible value of the text in our column, by reading."""
    return VALUES[READ[ours]](text, currency)


def is_value(ours: str, text: str, currency: str) -> bool:
    """Return whether the text is a date or amount at all, even in another currency."""
    if READ[ours] is FieldType.DAY:
        return bool(days_in(text))
    try:
        return bool(amounts_in(without_currency(text, currency)))
    except OtherCurrencyError:
        return True


def _amounts(text: str, currency: str) -> Mapping[str, Any]:
    try:
        return amounts_in(without_currency(text, currency))
    except OtherCurrencyError:  # amounts in another currency follow its own conventions
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
    texts = [text for text in doubtful if way in each[text]]
    if way == DayOrder.DOTS_DAY_FIRST:  # only a dotted date shows the difference
        texts.sort(key=lambda text: "." not in text)
    text = texts[0]
    return text, each[text][way]
