"""What was done to a webhook, in sentences, and what it may have to do with its failures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from portal.engine.events.catalogue import event_type
from portal.lib.durations import in_words
from portal.services.core.permissions import SYSTEM
from portal.services.webhooks.queries import HistoryEntry

ACTIONS: Final = {
    "webhook.created": "created this webhook",
    "webhook.changed": "changed this webhook",
    "webhook.turned_on": "turned this webhook on",
    "webhook.turned_off": "turned this webhook off",
    "webhook.decided_about_held": "decided about what was held",
    "webhook.secret_switched": "switched to the new secret key",
    "webhook.tested_before_saving": "tested the form of this webhook before saving",
    "webhook.waiting_sent": "sent what was waiting for a retry",
    "webhook.problem_dismissed": "dismissed a problem of this webhook",
    "webhook.problem_brought_back": "brought back a dismissed problem of this webhook",
}
FIELDS: Final = {
    "name": "Name",
    "url": "URL",
    "url_is_secret": "This address is a secret",
    "events": "Events",
    "secret_key": "Secret key",
    "custom_headers": "Custom headers",
    "in_order": "One at a time, in order",
    "status": "Status",
    "cause": "Cause",
    "deliveries_send": "Held deliveries sent",
    "deliveries_discard": "Held deliveries discarded",
    "deliveries_stopped": "Deliveries stopped with it",
    "reason": "Reason",
    "failed_deliveries": "Failed deliveries",
    "selected_deliveries": "Selected deliveries",
}
# Of an address that reads the same before and after.
UNSEEN_PART: Final = "a secret part was changed"
# What a receiver notices when it is changed, and in which words the change is blamed.
BLAMED: Final = {
    "url": "the URL was edited",
    "secret_key": "the secret key was changed",
    "custom_headers": "the custom headers were edited",
    "in_order": "“One at a time, in order” was changed",
}
BLAMED_ACTIONS: Final = {
    "webhook.created": "it was made",
    "webhook.turned_on": "it was turned on",
    "webhook.secret_switched": "the new secret key took over",
}
# Failures that begin later have a cause of their own.
SUSPECT_FOR: Final = timedelta(hours=24)
TONES: Final = {
    "webhook.turned_on": "success",
    "webhook.turned_off": "warning",
    "webhook.created": "info",
}


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One entry of the history; `details` are (label, before, after), before may be blank."""

    at: datetime
    sentence: str
    tone: str
    details: list[tuple[str, str, str]]


def failures_began(failing_since: datetime | None, changes: Sequence[HistoryEntry]) -> str:
    """ "Failures began 4 minutes after the URL was edited": blank unless a change came before."""
    if failing_since is None:
        return ""
    for change in changes:  # the youngest first
        blamed = _blamed(change)
        if blamed and timedelta() <= failing_since - change.at < SUSPECT_FOR:
            after = in_words((failing_since - change.at).total_seconds())
            return f"Failures began {after} after {blamed}."
    return ""


def has_moved(since: datetime, changes: Sequence[HistoryEntry]) -> bool:
    """Whether the address was changed after that moment."""
    return any(
        each.at > since and each.action == "webhook.changed" and "url" in each.changes
        for each in changes
    )


def history_lines(
    changes: Sequence[HistoryEntry], failing_since: datetime | None = None
) -> list[HistoryLine]:
    """The audit trail of one webhook for people; the beginning of its failures in its place."""
    lines = [
        HistoryLine(
            at=each.at,
            sentence=f"{_who(each)} {ACTIONS.get(each.action, 'changed this webhook')}",
            tone=TONES.get(each.action, "neutral"),
            details=[_detail(name, change) for name, change in each.changes.items()],
        )
        for each in changes
    ]
    if failing_since is not None:
        words = failures_began(failing_since, changes).rstrip(".") or "Failures began"
        lines.append(HistoryLine(failing_since, words, "danger", []))
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _who(change: HistoryEntry) -> str:
    """Pages of webhooks call what the portal does by itself ours."""
    return "We" if change.by == SYSTEM.name else change.by


def _blamed(change: HistoryEntry) -> str:
    if change.action in BLAMED_ACTIONS:
        return BLAMED_ACTIONS[change.action]
    if change.action != "webhook.changed":
        return ""
    return " and ".join(words for name, words in BLAMED.items() if name in change.changes)


def _detail(name: str, change: dict[str, Any]) -> tuple[str, str, str]:
    before, after = change.get("from"), change.get("to")
    if name == "events":
        return _events_detail(before or [], after or [])
    if name == "url" and before == after:
        return FIELDS[name], "", f"{after} ({UNSEEN_PART})"
    if name == "custom_headers" and before == after:
        return FIELDS[name], "", "a value was changed"
    return FIELDS.get(name, name), _shown(before), _shown(after)


def _events_detail(before: list[str], after: list[str]) -> tuple[str, str, str]:
    if not before:
        return FIELDS["events"], "", ", ".join(event_type(value).name for value in after)
    added = [f"added {event_type(value).name}" for value in after if value not in before]
    removed = [f"removed {event_type(value).name}" for value in before if value not in after]
    return FIELDS["events"], "", ", ".join(added + removed)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)
