"""Conditions of a webhook: their allowed values, their storage, and their check for an event."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from portal.engine.conditions.facts import Facts
from portal.engine.events.body import Origin
from portal.lib.typed_values import TypedValueError, read_amount

MOST_CONDITIONS: Final = 10
MOST_VALUES: Final = 20
LONGEST_VALUE: Final = 120
ID_DIGITS: Final = 9


class Operator(StrEnum):
    """The ways to compare a fact with the values of a condition."""

    IS = "is"
    IS_NOT = "is_not"
    BEGINS = "begins"
    CONTAINS = "contains"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


LISTED: Final = (Operator.IS, Operator.IS_NOT)
TYPED: Final = (*LISTED, Operator.BEGINS, Operator.CONTAINS)
AMOUNTS: Final = (Operator.AT_LEAST, Operator.AT_MOST)

# The fields of conditions by their names in forms, each with its operators.
OPERATORS: Final = {
    "category": LISTED,
    "location": LISTED,
    "status": LISTED,
    "tag": TYPED,
    "name": TYPED,
    "cost": AMOUNTS,
    "origin": LISTED,
    "changed": (Operator.IS,),
}
# Fields whose values are IDs of the register's rows.
NAMED: Final = ("category", "location")
# The values of other fields with a list.
CHOICES: Final = {
    "status": (
        *("available", "allocated", "checked_out", "maintenance"),
        *("warranty", "broken", "lost", "liquidated"),
    ),
    "origin": tuple(Origin),
    "changed": (
        *("status", "location", "holder", "due_at", "name", "asset_tag", "kind", "category"),
        *("condition", "quantity", "min_quantity", "unit", "manufacturer", "model"),
        *("serial_number", "supplier", "order_number", "purchase_date", "purchase_cost"),
        *("warranty_expires", "reservable", "notes"),
    ),
}


class Condition(NamedTuple):
    """One condition. Any one of several values is enough. `values`: as stored."""

    field: str
    operator: str
    values: tuple[str, ...]


# No event meets it, so an unreadable condition never lets more events through.
UNKNOWN: Final = Condition("", "", ())


class ConditionError(ValueError):
    """An invalid condition. `part`: the subject of the sentence (field, operator, or value)."""

    def __init__(self, part: str, sentence: str) -> None:
        super().__init__(sentence)
        self.part = part
        self.sentence = sentence


def entered(field: str, operator: str, values: Iterable[str]) -> Condition:
    """Return the condition as stored. Raises `ConditionError`.

    Only the format of a category's or location's ID is checked.
    """
    if field not in OPERATORS:
        raise ConditionError("field", "Choose a field from the list")
    if operator not in set(OPERATORS[field]):
        raise ConditionError("operator", "Choose a comparison from the list")
    chosen = tuple(dict.fromkeys(value for value in values if value))
    if not chosen:
        is_listed = field in CHOICES or field in NAMED
        raise ConditionError("value", "Choose a value" if is_listed else "Enter a value")
    if len(chosen) > (1 if field == "cost" else MOST_VALUES):
        many = "Enter one amount" if field == "cost" else f"Choose at most {MOST_VALUES}"
        raise ConditionError("value", many)
    if any(len(value) > LONGEST_VALUE for value in chosen):
        raise ConditionError("value", f"Enter at most {LONGEST_VALUE} characters")
    if field == "cost":
        chosen = (_amount(chosen[0]),)
    elif not all(_is_listed(field, value) for value in chosen):
        is_typed = field in ("tag", "name")
        fit = "Use only letters, digits, and punctuation"
        raise ConditionError("value", fit if is_typed else "Choose values from the list")
    return Condition(field, operator, chosen)


def _is_listed(field: str, value: str) -> bool:
    if field in NAMED:
        return value.isascii() and value.isdigit() and len(value) <= ID_DIGITS
    return value in CHOICES[field] if field in CHOICES else value.isprintable()


def _amount(text: str) -> str:
    try:
        return f"{read_amount(text):.2f}"
    except TypedValueError as error:
        raise ConditionError("value", f"Enter the amount {error}") from None


def as_text(conditions: Sequence[Condition]) -> str | None:
    """Return conditions as a webhook stores them, or None without any."""
    return (
        orjson.dumps([tuple(condition) for condition in conditions]).decode()
        if conditions
        else None
    )


@lru_cache(maxsize=2048)
def conditions_in(text: str | None) -> tuple[Condition, ...]:
    """Return a webhook's stored conditions, or `UNKNOWN` for an unreadable text."""
    try:
        return tuple(
            Condition(str(field), str(operator), tuple(map(str, values)))
            for field, operator, values in orjson.loads(text or "[]")
        )
    except (ValueError, TypeError):
        return (UNKNOWN,)


def first_unmet(text: str | None, facts: Facts) -> Condition | None:
    """Return the first condition that an event doesn't meet, or None if it meets them all."""
    for condition, holds in _compiled(text):
        if not holds(facts):
            return condition
    return None


def are_met(text: str | None, facts: Facts) -> bool:
    """Return whether an event meets a webhook's stored conditions."""
    return text is None or first_unmet(text, facts) is None


Check = Callable[[Facts], bool]


@lru_cache(maxsize=2048)
def _compiled(text: str | None) -> tuple[tuple[Condition, Check], ...]:
    return tuple((condition, _check(*condition)) for condition in conditions_in(text))


def _check(field: str, operator: str, values: tuple[str, ...]) -> Check:
    """Return the check of one condition. No event meets one that this version doesn't know."""
    if operator not in set(OPERATORS.get(field, ())) or not values:
        return lambda _facts: False
    if field == "changed":
        return lambda facts: not facts.changed.isdisjoint(values)
    if field == "cost":
        return _amount_check(operator, values[0])
    return _text_check(field, operator, values)


def _amount_check(operator: str, value: str) -> Check:
    try:
        bound = Decimal(value)
    except InvalidOperation:
        return lambda _facts: False
    if not bound.is_finite():
        return lambda _facts: False
    if operator == Operator.AT_LEAST:
        return lambda facts: facts.cost is not None and facts.cost >= bound
    return lambda facts: facts.cost is not None and facts.cost <= bound


def _text_check(field: str, operator: str, values: tuple[str, ...]) -> Check:
    """Return a check of a text. Typed values ignore case."""
    is_typed = field in ("tag", "name")
    wanted = tuple(value.casefold() for value in values) if is_typed else values
    # Reading facts by index is fastest, and a Save can run ten thousand checks.
    at = Facts._fields.index(f"folded_{field}" if is_typed else field)
    if operator == Operator.IS:
        return lambda facts: facts[at] in wanted
    if operator == Operator.IS_NOT:
        return lambda facts: facts[at] not in wanted
    if operator == Operator.BEGINS:
        return lambda facts: (text := _text(facts[at])) is not None and text.startswith(wanted)
    return lambda facts: (
        (text := _text(facts[at])) is not None and any(map(text.__contains__, wanted))
    )


def _text(fact: object) -> str | None:
    return fact if isinstance(fact, str) else None
