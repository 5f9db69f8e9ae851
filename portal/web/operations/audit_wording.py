"""Phrase entries of the audit trail: action, object, and changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from flask import request

from portal.engine.events.body import Origin
from portal.engine.events.catalogue import EventName
from portal.lib.durations import size_in_words
from portal.models.deliveries import EARLIER_STATUSES
from portal.models.webhooks import ALL_EVENTS
from portal.services.audit import TrailEntry
from portal.services.deliveries.bulk_retry_selection import KEPT, filter_of
from portal.services.operations import backups
from portal.services.people.accounts import ROLE_NAMES
from portal.web.assets.presenter import LABELS, MOVED, in_words
from portal.web.deliveries.filter_wording import Names, filter_words
from portal.web.deliveries.wording import event_name
from portal.web.frame.status_tags import DELIVERY
from portal.web.webhooks.wording import FIELDS, UNSEEN_PART, conditions_words, off_until_words

LONGEST_VALUE: Final = 200
ROLES: Final = {str(role): name for role, name in ROLE_NAMES.items()}
ORIGINS: Final = {
    "ui": "on a page",
    "bulk": "in bulk",
    "import": "by an import",
    "command": "by a command",
    "api": "by the API",
    "cron": "automatically",
}


class Group(NamedTuple):
    """Actions listed under one word."""

    word: str
    actions: Mapping[str, str]


# All actions, in the order of the filter. Actions on many deliveries are stored with their webhook
# or task, but people look for them among deliveries.
GROUPS: Final[Mapping[str, Group]] = {
    "alert": Group(
        "Alert",
        {
            "alert.acknowledged": "acknowledged",
            "alerts.run": "checked now",
            "alerts.marked": "marked as sent",
            "alert_settings.answered": "first check decided",
            "alert_settings.updated": "settings changed",
        },
    ),
    "token": Group(
        "API token",
        {
            "token.created": "created",
            "token.end_moved": "end changed",
            "token.revoked": "revoked",
        },
    ),
    "asset": Group(
        "Asset",
        {
            "asset.created": "added",
            "asset.updated": "changed",
            "asset.deleted": "deleted",
            "asset.checked_out": "checked out",
            "asset.checked_in": "checked in",
            "asset.allocated": "allocated",
            "asset.revoked": "revoked",
            "asset.transferred": "transferred",
            "asset.reserved": "reserved",
            "asset.reservation_approved": "reservation approved",
            "asset.reservation_rejected": "reservation rejected",
            "asset.maintenance_scheduled": "maintenance scheduled",
            "asset.maintenance_completed": "maintenance completed",
            "asset.broken": "reported broken",
            "asset.lost": "reported lost",
            "asset.warranty": "sent for warranty repair",
            "asset.liquidated": "disposed of",
            "spelling.merged": "supplier or manufacturer merged",
        },
    ),
    "backup": Group(
        "Backup",
        {
            "backup.made": "made",
            "backup.downloaded": "downloaded",
        },
    ),
    "batch": Group(
        "Bulk retry",
        {
            "batch.started": "started",
            "batch.stopped": "stopped",
            "batch.went_on": "resumed",
            "batch.delivery_taken_out": "delivery removed",
        },
    ),
    "category": Group(
        "Category",
        {
            "category.created": "added",
            "category.updated": "changed",
            "category.deleted": "deleted",
            "category.merged": "merged",
        },
    ),
    "delivery": Group(
        "Delivery",
        {
            "delivery.retried": "retried",
            "delivery.dismissed": "dismissed",
            "delivery.restored": "restored",
            "delivery.signature_checked": "signature checked",
        },
    ),
    "import_headings": Group(
        "Import",
        {
            "import_headings.remembered": "match remembered",
            "import_headings.forgotten": "match forgotten",
        },
    ),
    "location": Group(
        "Location",
        {
            "location.created": "added",
            "location.updated": "changed",
            "location.deleted": "deleted",
            "location.merged": "merged",
        },
    ),
    "portal": Group(
        "Portal",
        {
            "sending.stopped": "sending paused",
            "sending.started": "sending resumed",
            "keys.forgotten": "lost secrets forgotten",
            "sample_data.loaded": "sample data loaded",
        },
    ),
    "organization": Group("Organization", {"organization.updated": "changed"}),
    "staff": Group(
        "Staff",
        {
            "staff.created": "added",
            "staff.updated": "changed",
            "staff.deactivated": "marked as former staff",
            "staff.reactivated": "marked as current staff",
            "staff.erasure_started": "erasure started",
            "staff.erased": "erased",
        },
    ),
    "person": Group(
        "User",
        {
            "person.invited": "invited",
            "person.invited_again": "new invitation link",
            "person.invitation_emailed": "invitation emailed",
            "person.invitation_cancelled": "invitation canceled",
            "person.joined": "joined",
            "person.changed": "changed",
            "person.role_changed": "role changed",
            "person.disabled": "disabled",
            "person.enabled": "enabled",
            "person.new_password_offered": "password link created",
            "person.new_password_emailed": "password link emailed",
            "person.new_password_requested": "password link requested",
            "person.password_changed": "password changed",
            "person.identity_confirmed": "password confirmed",
            "person.signed_in": "signed in",
            "person.signed_out": "signed out",
            "person.signed_out_elsewhere": "signed out everywhere else",
            "person.sign_in_slowed_down": "sign-in slowed down",
            "person.webhook_emails_started": "emails about a webhook turned on",
            "person.webhook_emails_ended": "emails about a webhook turned off",
            "person.erasure_started": "erasure started",
            "person.erased": "erased",
        },
    ),
    "webhook": Group(
        "Webhook",
        {
            "webhook.created": "added",
            "webhook.changed": "changed",
            "webhook.deleted": "deleted",
            "webhook.tested_before_saving": "tested before saving",
            "webhook.turned_on": "turned on",
            "webhook.turned_off": "turned off",
            "webhook.off_until_changed": "turn-on time changed",
            "webhook.decided_about_held": "on-hold deliveries handled",
            "webhook.waiting_sent": "sending resumed",
            "webhook.secret_switched": "secret key switched",
            "webhook.secrets_erased": "unreadable secrets erased",
            "webhook.taken": "taken",
            "webhook.note_added": "note added",
            "webhook.noted": "note changed",
            "webhook.note_removed": "note removed",
            "webhook.handed_over": "handed over",
            "webhook.released": "released",
            "webhook.take_ended": "released automatically",
        },
    ),
}
# Stored actions that are listed under another action.
SAME: Final = {
    "dismissal.started": "delivery.dismissed",
    "restoration.started": "delivery.restored",
    "webhook.deliveries_dismissed": "delivery.dismissed",
    "webhook.deliveries_restored": "delivery.restored",
    "webhook.problem_dismissed": "delivery.dismissed",
    "webhook.problem_brought_back": "delivery.restored",
    "address.sign_in_slowed_down": "person.sign_in_slowed_down",
}
WORDS: Final = {
    action: f"{group.word}: {words}"
    for group in GROUPS.values()
    for action, words in group.actions.items()
}
# Filter choices that span groups: (words, actions).
ACROSS: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "deletions": (
        "All deletions",
        [action for action in WORDS if action.endswith((".deleted", ".erased"))],
    ),
    "access": (
        "All password, role, and token changes",
        [
            "person.role_changed",
            "person.new_password_offered",
            "person.password_changed",
            *GROUPS["token"].actions,
        ],
    ),
}
# URL prefixes of pages, by kind of object.
PATHS: Final[Mapping[str, str]] = {
    "asset": "/assets/",
    "batch": "/batches/",
    "delivery": "/deliveries/",
    "dismissal": "/tasks/",
    "person": "/settings/people/",
    "restoration": "/tasks/",
    "staff": "/staff/",
    "token": "/settings/api/",
    "webhook": "/settings/webhooks/",
}
# Field labels of entries about alerts, where column names are unclear.
OF_ALERTS: Final = {
    "mail_overdue": "Emails about overdue assets",
    "mail_maintenance": "Emails about maintenance",
    "mail_warranty": "Emails about warranties",
    "mail_low_stock": "Emails about low stock",
    "remind_holder": "Reminder to the holder",
    "holder_text": "Text in the reminder",
}
# Changes that contain an id: (label, words of the link, URL prefix).
LINKED: Final = {
    "delivery": ("Delivery", "View delivery", "/deliveries/"),
    "rest_of": ("Rest of", "View bulk retry", "/batches/"),
}
# Formatters for the fields of a backup.
BACKUP: Final[Mapping[str, Callable[[Any], str]]] = {
    "size": size_in_words,
    "rows": backups.counted,
}


class Detail(NamedTuple):
    """A changed field. `path`: blank if there is nothing to open."""

    label: str
    before: str
    after: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class TrailLine:
    """An entry as the page shows it. `path`: blank if there is nothing to open."""

    at: datetime
    by: str
    way: str
    what: str
    thing: str
    path: str
    details: list[Detail]


def line_of(entry: TrailEntry, names: Names) -> TrailLine:
    return TrailLine(
        at=entry.at,
        by=entry.by,
        way=_way(entry),
        what=action_words(entry.action),
        thing=_thing(entry),
        path=_path(entry),
        details=list(_details(entry, names)),
    )


def _way(entry: TrailEntry) -> str:
    return "" if entry.origin == Origin.UI else ORIGINS.get(entry.origin, entry.origin)


def action_words(action: str) -> str:
    """Phrase an action, even a retired one: "webhook.turned_off" → "Webhook: turned off"."""
    kind, _, verb = action.partition(".")
    return WORDS.get(SAME.get(action, action)) or f"{_sentence(kind)}: {verb.replace('_', ' ')}"


def actions_of(chosen: str) -> list[str]:
    """Return the stored actions that a choice of the filter covers."""
    named = GROUPS[chosen].actions if chosen in GROUPS else ACROSS.get(chosen, ("", [chosen]))[1]
    return [*named, *(stored for stored, action in SAME.items() if action in named)]


def plain_value(value: Any) -> str:
    """Format a changed value for display."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, dict) and "name" in value:  # a person, a place, a category
        return str(value["name"])
    if value == [ALL_EVENTS]:
        return "All events"
    text = ", ".join(map(_word, value)) if isinstance(value, list) else _word(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _word(value: Any) -> str:
    is_event = isinstance(value, str) and value in set(EventName)
    return event_name(value) if is_event else str(value)


def _details(entry: TrailEntry, names: Names) -> Iterator[Detail]:
    changes = dict(entry.changes)
    if entry.kind in ("batch", "dismissal") and (words := _filter_words(changes, names)):
        yield Detail("Filter", "", words)
        changes = {name: value for name, value in changes.items() if name not in (*KEPT, "filter")}
    for name, change in changes.items():
        yield _detail(entry.kind, name, change)


def _filter_words(changes: Mapping[str, Any], names: Names) -> str:
    """Return the filter that selected the deliveries, or "" if none is left or readable."""
    values = {name: change["to"] for name, change in changes.items() if isinstance(change, dict)}
    kept = values.get("filter") or {name: values[name] for name in KEPT if name in values}
    is_one = {"delivery"} == set(kept)  # a delivery that was removed
    try:
        return filter_words(filter_of({"filter": kept}), names) if kept and not is_one else ""
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""


def _detail(kind: str, name: str, change: Any) -> Detail:
    sides = (change.get("from"), change.get("to")) if isinstance(change, dict) else ("", change)
    if kind == "batch" and name in LINKED:
        label, words, path = LINKED[name]
        return Detail(label, "", words, f"{request.script_root}{path}{sides[1]}")
    labels = LABELS | MOVED if kind == "asset" else FIELDS | OF_ALERTS
    label = labels.get(name) or _sentence(name)
    if name == "url" and sides[0] == sides[1]:
        return Detail(label, "", f"{plain_value(sides[1])} ({UNSEEN_PART})")
    if name == "conditions":
        return Detail(label, *map(conditions_words, sides))
    if name == "off_until":
        return Detail(label, *map(off_until_words, sides))
    if kind == backups.NAME and name in BACKUP:
        return Detail(label, "", BACKUP[name](sides[1]))
    if kind == "asset":  # dates and statuses as on its timeline
        sides = (in_words(name, sides[0]), in_words(name, sides[1]))
    before, after = plain_value(sides[0]), plain_value(sides[1])
    if name == "role":
        before, after = (ROLES.get(role, role) for role in (before, after))
    if kind == "delivery" and name == "status":
        before, after = _status(before), _status(after)
    return Detail(label, before, after)


def _thing(entry: TrailEntry) -> str:
    """Return the object's name. A delivery is named by its event, an alert by event and asset."""
    name = entry.target_name or _sentence(entry.kind)
    first, _, rest = name.partition(" ")
    if entry.kind not in ("delivery", "alert") or first not in set(EventName):
        return name
    return f"{event_name(first)} {rest}".strip()


def _status(status: str) -> str:
    status = EARLIER_STATUSES.get(status, status)
    return DELIVERY[status].word if status in DELIVERY else status


def _sentence(word: str) -> str:
    return word.replace("_", " ").capitalize()


def _path(entry: TrailEntry) -> str:
    beginning = PATHS.get(entry.kind)
    is_gone = entry.action.endswith("deleted")
    return "" if beginning is None or is_gone else request.script_root + beginning + entry.target_id
