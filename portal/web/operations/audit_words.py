"""The audit trail in words: actions, things, ways, and what changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flask import request

from portal.engine.events.names import EventName
from portal.services.audit.queries import TrailEntry
from portal.web.assets.presenter import in_words
from portal.web.deliveries.rows.row_words import event_name
from portal.web.frame.status_tags import DELIVERY
from portal.web.webhooks.history import FIELDS, UNSEEN_PART

LONGEST_VALUE: Final = 200
# What reads otherwise than it is stored.
NAMED: Final = {
    "url": "URL",
    "url_is_secret": "This address is a secret",
    "liquidated": "Disposed of",
}
ORIGINS: Final = {
    "ui": "on the pages",
    "bulk": "for many at once",
    "import": "by an import",
    "api": "by a command",
    "cron": "automatically",
}
# Those that pages call by another name.
KINDS: Final = {"batch": "Bulk retry", "draft": "Webhook form", "person": "User"}
# Where a thing of this kind can be looked at.
PATHS: Final[Mapping[str, str]] = {
    "asset": "/assets/",
    "batch": "/batches/",
    "delivery": "/deliveries/",
    "person": "/settings/people/",
    "webhook": "/settings/webhooks/",
}


@dataclass(frozen=True, slots=True)
class TrailLine:
    """One entry as the page shows it. `path` is blank where there is nothing to open."""

    at: datetime
    by: str
    way: str
    what: str
    kind: str
    thing: str
    path: str
    details: list[tuple[str, str, str]]


def line_of(entry: TrailEntry) -> TrailLine:
    """The entry in words."""
    return TrailLine(
        at=entry.at,
        by=entry.by,
        way="" if entry.origin == "ui" else ORIGINS.get(entry.origin, entry.origin),
        what=action_words(entry.action),
        kind=kind_words(entry.kind),
        thing=_thing(entry),
        path=_path(entry),
        details=[_detail(entry.kind, name, change) for name, change in entry.changes.items()],
    )


def action_words(action: str) -> str:
    """ "person.password_changed" → "Password changed"."""
    return _sentence(action.rpartition(".")[2])


def kind_words(kind: str) -> str:
    """ "location" → "Location"."""
    return KINDS.get(kind) or _sentence(kind)


def plain_value(value: Any) -> str:
    """A changed value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, dict) and "name" in value:  # a person, a place, a category
        return str(value["name"])
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _detail(kind: str, name: str, change: Any) -> tuple[str, str, str]:
    label = (FIELDS.get(name) if kind == "webhook" else None) or _sentence(name)
    sides = (change.get("from"), change.get("to")) if isinstance(change, dict) else ("", change)
    if name == "url" and sides[0] == sides[1]:
        return label, "", f"{plain_value(sides[1])} ({UNSEEN_PART})"
    if kind == "asset":  # dates and statuses, as its timeline writes them
        sides = (in_words(name, sides[0]), in_words(name, sides[1]))
    before, after = plain_value(sides[0]), plain_value(sides[1])
    if kind == "delivery" and name == "status":
        before, after = _status(before), _status(after)
    return label, before, after


def _thing(entry: TrailEntry) -> str:
    """A delivery goes by its event."""
    name = entry.target_name or entry.target_id
    return event_name(name) if entry.kind == "delivery" and name in set(EventName) else name


def _status(status: str) -> str:
    return DELIVERY[status].word if status in DELIVERY else status


def _sentence(word: str) -> str:
    return NAMED.get(word) or word.replace("_", " ").capitalize()


def _path(entry: TrailEntry) -> str:
    beginning = PATHS.get(entry.kind)
    is_gone = entry.action.endswith("deleted")
    return "" if beginning is None or is_gone else request.script_root + beginning + entry.target_id
