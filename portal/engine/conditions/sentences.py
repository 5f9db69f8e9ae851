"""Put conditions into words for the form, page, history, and audit trail."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from portal.engine.conditions.facts import Facts
from portal.engine.conditions.predicate import CHOICES, NAMED, Condition, Operator

LABELS: Final = {
    "category": "Category",
    "location": "Location",
    "status": "Status",
    "tag": "Asset tag",
    "name": "Asset name",
    "cost": "Purchase cost",
    "origin": "Made by",
    "changed": "Changed field",
}
OPERATOR_WORDS: Final[Mapping[str, str]] = {
    Operator.IS: "is",
    Operator.IS_NOT: "isn’t",
    Operator.BEGINS: "begins with",
    Operator.CONTAINS: "contains",
    Operator.AT_LEAST: "is at least",
    Operator.AT_MOST: "is at most",
}
ASSET_STATUSES: Final = {
    "available": "Available",
    "allocated": "Allocated",
    "checked_out": "Checked out",
    "maintenance": "In maintenance",
    "warranty": "Out for warranty repair",
    "broken": "Broken",
    "lost": "Lost",
    "liquidated": "Disposed of",
}
_CHANGED: Final = {
    "kind": "Type",
    "due_at": "Due date",
    "min_quantity": "Low-stock threshold",
    "warranty_expires": "Warranty ends",
    "reservable": "Allow reservations",
}
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "status": ASSET_STATUSES,
    "origin": {
        "ui": "a person on a page",
        "bulk": "a bulk action",
        "import": "an import",
        "api": "a program",
        "command": "a command",
        "cron": "a scheduled check",
    },
    "changed": {
        name: _CHANGED.get(name) or name.replace("_", " ").capitalize()
        for name in CHOICES["changed"]
    },
}
# The names of categories and locations, by field and id.
Names = Mapping[tuple[str, str], str]


def sentence_of(condition: Condition, names: Names) -> str:
    """Return one condition in words: "Category is Laptops or Phones"."""
    field, operator, values = condition
    if field not in LABELS:
        return "A condition from another version"
    words = _listed([value_words(field, value, names) for value in values], "or")
    if field == "origin":
        return f"{'Not made' if operator == Operator.IS_NOT else 'Made'} by {words}"
    compared = OPERATOR_WORDS.get(operator, operator)
    return f"{LABELS[field]} {compared} {words}"


def value_words(field: str, value: str, names: Names) -> str:
    """Return the value's label or name."""
    if field in NAMED:
        return names.get((field, value), "(deleted)")
    return amount_words(value) if field == "cost" else WORDS.get(field, {}).get(value, value)


def fact_sentence(field: str, facts: Facts, names: Names) -> str:
    """Return the fact that a condition tests, in words: "The category was Laptops"."""
    if field == "changed":
        known = WORDS["changed"]
        changed = [known.get(name, name) for name in sorted(facts.changed)]
        if not changed:
            return "No field changed"
        verb = "field was" if len(changed) == 1 else "fields were"
        return f"The changed {verb} {_listed(changed, 'and')}"
    value = getattr(facts, field, None)
    if field not in LABELS:
        return "This version can’t read the condition"
    if value is None:
        missing = "We don’t know where the event came from" if field == "origin" else ""
        return missing or f"The asset has no {LABELS[field].lower()}"
    words = value_words(field, str(value), names)
    if field == "origin":
        return f"The event came from {words}"
    return f"The {LABELS[field].lower()} was {words}"


def amount_words(value: str) -> str:
    """Return an amount for sentences: "1000.00" → "1,000", "1249.50" → "1,249.50"."""
    return typed_amount(value).removesuffix(".00")


def typed_amount(value: str) -> str:
    """Return an amount as people type it: "1000.00" → "1,000.00"."""
    try:
        return f"{Decimal(value):,.2f}"
    except (InvalidOperation, ValueError):
        return value


def _listed(words: Sequence[str], link: str) -> str:
    *others, last = words or [""]
    between = f", {link} " if len(others) > 1 else f" {link} "
    return f"{', '.join(others)}{between}{last}" if others else last
