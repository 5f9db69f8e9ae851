"""Turn an event into the texts of a post, before a chat's own format."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, tzinfo
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from portal.engine.conditions.sentences import ASSET_STATUSES, WORDS, typed_amount
from portal.engine.events.catalogue import CATALOGUE, EventName
from portal.engine.events.words import MAINTENANCE_TYPES, METHODS, OUTCOMES, REASONS
from portal.lib.dates import day_words, time_words
from portal.lib.typed_text import excerpts, harmless, tidy

MOST_FACTS: Final = 8
# Invisible. Between two characters, it keeps a chat from reading them as markup.
WORD_JOINER: Final = "\u2060"
# Characters. With these limits, no post is too large for a chat, even with escapes.
LONGEST_ASSET: Final = 200
LONGEST_VALUE: Final = 250


class Severity(StrEnum):
    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    DANGER = "danger"


COLORS: Final[Mapping[Severity, str]] = {
    Severity.INFO: "#2f6fb3",
    Severity.GOOD: "#1e7b45",
    Severity.WARNING: "#b25e00",
    Severity.DANGER: "#c02b37",
}


class Place(NamedTuple):
    """The portal's time zone and URL. `base_url`: None if only this machine can open it."""

    zone: tzinfo
    base_url: str | None


class Fact(NamedTuple):
    label: str
    value: str


class Post(NamedTuple):
    """A post's texts, each on one line and without invisible characters.

    `asset` (tag and name) and the values of facts are untrusted. `link`: the asset's page, if any.
    """

    title: str
    asset: str
    facts: tuple[Fact, ...]
    severity: Severity
    link: str | None

    @property
    def headline(self) -> str:
        """Return the text of a notification."""
        return f"{self.title}: {self.asset}" if self.asset else self.title


class _Event(NamedTuple):
    """An event's severity and facts. `facts`: {label as on forms: path in the body}."""

    severity: Severity
    facts: Mapping[str, str]


_WHERE: Final = {"Category": "asset.category", "Location": "asset.location"}
_RESERVATION: Final = {
    "Reserved for": "data.staff",
    "From": "data.starts_at",
    "Until": "data.ends_at",
    "Purpose": "data.purpose",
}
_MAINTENANCE: Final = {
    "Task": "data.title",
    "Type of work": "data.type",
    "Due on": "data.due_on",
    "Assigned to": "data.assignee",
}
_INCIDENT: Final = {
    "What happened": "data.description",
    "Last location": "data.last_location",
    "Last holder": "data.previous_holder",
    "Under warranty": "data.under_warranty",
}
_INFO, _GOOD, _WARNING, _DANGER = Severity
_EVENTS: Final[Mapping[str, _Event]] = {
    EventName.CREATED: _Event(
        _GOOD,
        {
            **_WHERE,
            "Serial number": "asset.serial_number",
            "Quantity": "data.initial_quantity",
            "Purchase cost": "asset.purchase_cost",
        },
    ),
    EventName.UPDATED: _Event(
        _INFO,
        {
            "Task": "data.maintenance.title",
            "Reserved for": "data.reservation.staff",
            "From": "data.reservation.starts_at",
        },
    ),
    EventName.DELETED: _Event(
        _WARNING, {"Reason": "data.reason", **_WHERE, "Serial number": "asset.serial_number"}
    ),
    EventName.ALLOCATED: _Event(
        _INFO,
        {
            "Holder": "data.staff",
            "Location": "data.location",
            "Condition": "data.condition_out",
        },
    ),
    EventName.REVOKED: _Event(
        _INFO,
        {
            "Last holder": "data.staff",
            "New location": "data.return_location",
            "Condition": "data.condition_in",
            "Reason": "data.reason",
        },
    ),
    EventName.CHECKED_OUT: _Event(
        _INFO,
        {
            "Holder": "data.staff",
            "Due back": "data.due_at",
            "Purpose": "data.purpose",
            "Condition": "data.condition_out",
        },
    ),
    EventName.CHECKED_IN: _Event(
        _GOOD,
        {
            "Last holder": "data.staff",
            "Due back": "data.due_at",
            "New location": "data.return_location",
            "Condition": "data.condition_in",
        },
    ),
    EventName.RESERVED: _Event(_INFO, _RESERVATION),
    EventName.RESERVATION_APPROVED: _Event(_GOOD, _RESERVATION),
    EventName.RESERVATION_REJECTED: _Event(
        _WARNING, {**_RESERVATION, "Reason": "data.rejection_reason"}
    ),
    EventName.MAINTENANCE_SCHEDULED: _Event(
        _INFO,
        {**_MAINTENANCE, "Estimated cost": "data.estimated_cost"},
    ),
    EventName.MAINTENANCE_COMPLETED: _Event(
        _GOOD,
        {
            "Task": "data.title",
            "Outcome": "data.outcome",
            "Done by": "data.performed_by",
            "Cost": "data.cost",
            "Next due": "data.next_maintenance.due_on",
        },
    ),
    EventName.TRANSFERRED: _Event(
        _INFO,
        {
            "From": "data.from_location",
            "To": "data.to_location",
            "Holder": "data.holder",
            "Reason": "data.reason",
        },
    ),
    EventName.LOST: _Event(_DANGER, {**_INCIDENT, "Purchase cost": "asset.purchase_cost"}),
    EventName.BROKEN: _Event(_DANGER, _INCIDENT),
    EventName.WARRANTY: _Event(
        _WARNING,
        {
            "Problem": "data.problem",
            "Repaired by": "data.supplier",
            "Return number": "data.rma_number",
            "Expected back": "data.expected_back_on",
            "Last holder": "data.previous_holder",
        },
    ),
    EventName.LIQUIDATED: _Event(
        _WARNING,
        {
            "Disposal method": "data.method",
            "Proceeds": "data.proceeds",
            "Recipient": "data.recipient",
            "Purchase cost": "data.purchase_cost",
        },
    ),
    EventName.WARRANTY_EXPIRING: _Event(
        _WARNING,
        {
            "Warranty ends": "data.warranty_expires",
            "Supplier": "data.supplier",
            "Serial number": "asset.serial_number",
            "Holder": "data.holder",
            "Location": "asset.location",
        },
    ),
    EventName.MAINTENANCE_DUE: _Event(_WARNING, {**_MAINTENANCE, "Location": "asset.location"}),
    EventName.CHECKOUT_OVERDUE: _Event(
        _DANGER,
        {
            "Holder": "data.staff",
            "Due back": "data.due_at",
            "Checked out": "data.checked_out_at",
        },
    ),
    EventName.LOW_STOCK: _Event(
        _WARNING,
        {
            "Quantity": "data.quantity",
            "Low-stock threshold": "data.min_quantity",
            "Unit": "data.unit",
            "Location": "data.location",
        },
    ),
}
_TITLES: Final[Mapping[str, str]] = {event.value: event.name for event in CATALOGUE}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "status": ASSET_STATUSES,
    "type": MAINTENANCE_TYPES,
    "outcome": OUTCOMES,
    "method": METHODS,
}
_CHOICES: Final = frozenset({"condition", "condition_in", "condition_out", "kind"})
_MONEY: Final = frozenset({"cost", "estimated_cost", "proceeds", "purchase_cost"})
_DAYS: Final = frozenset({"due_on", "expected_back_on", "purchase_date", "warranty_expires"})
_AMOUNT: Final = re.compile(r"-?\d{1,15}(\.\d\d)?", re.ASCII)
_EITHER_SIDE: Final = 100  # characters of a text before and after a change


def post_of(body: bytes, place: Place) -> Post:
    """Return the post of a stored body. Missing and malformed parts are left out."""
    values = _Told(body, place.zone)
    event = values.text("event")
    known = _EVENTS.get(event, _Event(Severity.INFO, {}))
    is_test = values.at("data.test") is True
    asset_id = values.at("asset_id") or values.at("data.deleted_asset_id")
    has_page = place.base_url and type(asset_id) is int and not is_test
    return Post(
        title=f"{'Test: ' if is_test else ''}{_TITLES.get(event, 'Event')}",
        asset=shortened(
            f"{values.text('asset.asset_tag')} {values.text('asset.name')}".strip(), LONGEST_ASSET
        ),
        facts=_facts(values, known.facts),
        severity=known.severity,
        link=f"{place.base_url}/assets/{asset_id}" if has_page else None,
    )


def shortened(text: str, most: int) -> str:
    """Return the text with at most `most` characters, cut with an "…"."""
    return text if len(text) <= most else f"{tidy(text[: most - 1])}…"


def _facts(told: "_Told", places: Mapping[str, str]) -> tuple[Fact, ...]:
    """Return the event's own facts and the common ones, which always have room."""
    ends = {
        "Note": told.text("data.note"),
        "By": "" if told.at("data.actor.type") == "system" else told.text("data.actor.name"),
        "When": told.when(),
    }
    last = [Fact(label, text) for label, text in ends.items() if text]
    named = [Fact(label, told.text(path)) for label, path in places.items()]
    first = [*told.changes(), *(fact for fact in named if fact.value)]
    room = MOST_FACTS - len(last)
    if len(first) > room:
        first[room - 1 :] = [Fact("Other changes", str(len(first) - room + 1))]
    return tuple(Fact(fact.label, shortened(fact.value, LONGEST_VALUE)) for fact in first + last)


class _Told:
    """A body and its values in words."""

    def __init__(self, body: bytes, zone: tzinfo) -> None:
        try:
            self._body = orjson.loads(body)
        except orjson.JSONDecodeError:
            self._body = None
        self._zone = zone
        self._at = self._local(self.at("timestamp"))

    def at(self, path: str) -> Any:
        """Return the value at this path, or None."""
        value = self._body
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def text(self, path: str) -> str:
        """Return the value at this path in words, blank without one."""
        return self._words(path.rpartition(".")[2], self.at(path))

    def when(self) -> str:
        """Return the time of the event, with the time zone of all its times."""
        return f"{time_words(self._at, self._at, dated=True)} ({self._zone})" if self._at else ""

    def changes(self) -> Iterator[Fact]:
        """Yield the action of an update and the changed fields that have a label."""
        changes = self.at("data.changes")
        if done := REASONS.get(self.text("data.reason")) if changes is not None else None:
            yield Fact("Change", done)
        for name, change in changes.items() if isinstance(changes, dict) else ():
            if isinstance(change, dict) and name in WORDS["changed"]:
                before, after = (self._words(name, change.get(side)) for side in ("from", "to"))
                before, after = excerpts(before, after, _EITHER_SIDE)
                was = f" (was {before})" if before else ""
                if before or after:
                    yield Fact(WORDS["changed"][name], f"{after or 'None'}{was}")

    def _words(self, name: str, value: Any) -> str:
        if isinstance(value, dict):
            value = value.get("name")
        if isinstance(value, bool):
            return "Yes" if value else "No"
        if isinstance(value, int):
            return f"{value:,}"
        if not isinstance(value, str):
            return ""
        text = " ".join(tidy(harmless(value.replace("\r", "\n"))).split())
        if name.endswith("_at"):
            at = self._local(value)
            return time_words(at, self._at or at, dated=True) if at else text
        if name in _DAYS:
            return self._day(text)
        if name in _MONEY:
            currency = self.text("data.currency") or self.text("asset.currency")
            return f"{currency} {typed_amount(text)}".strip() if _AMOUNT.fullmatch(text) else text
        if name in _CHOICES:
            return text.capitalize()
        return _WORDS.get(name, {}).get(text, text)

    def _day(self, text: str) -> str:
        try:
            return day_words(date.fromisoformat(text), self._at and self._at.date())
        except ValueError:
            return text

    def _local(self, value: Any) -> datetime | None:
        try:
            at = datetime.fromisoformat(value)
            return at.astimezone(self._zone) if at.tzinfo else None
        except (TypeError, ValueError, OverflowError):
            return None
