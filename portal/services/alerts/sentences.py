"""Describe alert kinds and alerts in words, for pages and emails."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from portal.engine.events.catalogue import EventName
from portal.lib.dates import day_words
from portal.services.core.time_zones import today

Details = Mapping[str, Any]
# Formats a time in the reader's time zone.
Clock = Callable[[datetime], str]

# In the order shown on pages and in emails.
NAMES: Final[Mapping[EventName, str]] = {
    EventName.CHECKOUT_OVERDUE: "Overdue",
    EventName.MAINTENANCE_DUE: "Maintenance due",
    EventName.LOW_STOCK: "Low stock",
    EventName.WARRANTY_EXPIRING: "Warranty ends soon",
}

# Plural forms of names that are singular.
SEVERAL: Final[Mapping[EventName, str]] = {EventName.WARRANTY_EXPIRING: "warranties end soon"}


def sentence(event: str, details: Details, clock: Clock) -> str:
    """Describe the alert as of now, because its date can have passed since it fired."""
    return SENTENCES[EventName(event)](details, clock)


def fired_words(counts: Mapping[str, int]) -> str:
    """Return the counts in words: "2 overdue, 1 low stock"."""
    fired = [(event, counts[event]) for event in NAMES if counts.get(event)]
    return ", ".join(f"{many:,} {_named(event, many)}" for event, many in fired)


def _named(event: EventName, many: int) -> str:
    name = NAMES[event].lower()
    return name if many == 1 else SEVERAL.get(event, name)


def _overdue(details: Details, clock: Clock) -> str:
    # The event's reminder number counts days, not sent reminders, so it is not shown.
    due = clock(datetime.fromisoformat(details["due_at"]))
    return f"{details['staff']['name']} was due to return it by {due}."


def _maintenance(details: Details, _clock: Clock) -> str:
    return f"“{details['title']}” {_on(details['due_on'], 'is due', 'was due')}."


def _low(details: Details, _clock: Clock) -> str:
    left = f"{details['quantity']:,} {details.get('unit') or ''}".strip()
    return f"{left} left, threshold {details['min_quantity']:,}."


def _warranty(details: Details, _clock: Clock) -> str:
    return f"Its warranty {_on(details['warranty_expires'], 'ends', 'ended')}."


def _on(written: str, coming: str, past: str) -> str:
    day = date.fromisoformat(written)
    return f"{past if day < today() else coming} {day_words(day, today())}"


SENTENCES: Final[Mapping[EventName, Callable[[Details, Clock], str]]] = {
    EventName.CHECKOUT_OVERDUE: _overdue,
    EventName.MAINTENANCE_DUE: _maintenance,
    EventName.LOW_STOCK: _low,
    EventName.WARRANTY_EXPIRING: _warranty,
}
