"""Explain why an alert did not fire, for an asset and for a kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import settings as alert_settings
from portal.services.alerts import why_not
from portal.services.alerts.queries import DueNow, RunStatus
from portal.services.alerts.recipients import holders_told
from portal.services.alerts.rules import AlertRules, Kept
from portal.services.alerts.settings import next_slot, slot_of
from portal.services.alerts.why_not import Answer
from portal.services.core import queries
from portal.web.frame.status_tags import ASSET
from portal.web.frame.wording import counted, day_of, exact_day, number, plural

MOST_NAMED: Final = 2
DONE: Final = "already sent or marked as sent"
LATE, WORK = EventName.CHECKOUT_OVERDUE, EventName.MAINTENANCE_DUE
LOW, WARRANTY = EventName.LOW_STOCK, EventName.WARRANTY_EXPIRING


def before(days: int) -> str:
    """Return how early an alert is sent: "7 days before", "On the day"."""
    return f"{plural(days, 'day')} before" if days else "On the day"


def last_check(at: datetime | None) -> str:
    """Return "Last checked …" or "Not checked yet"."""
    return f"Last checked {exact_day(at)}" if at else "Not checked yet"


def _starts(days: int) -> str:
    return f"Alerts start {before(days).lower()}."


def _stock(asset: Asset) -> str:
    return f"{number(asset.quantity or 0)} {asset.unit or ''}".rstrip() + " in stock."


# The state of the asset, and why no alert fires.
WORDS: Final[Mapping[tuple[EventName, Kept], Callable[[Asset, Answer, AlertRules], str]]] = {
    (LATE, Kept.UNSET): lambda *_: "Not checked out.",
    (LATE, Kept.EARLY): lambda _asset, it, _rules: f"Due back {exact_day(it.by)}.",
    (WORK, Kept.UNSET): lambda *_: "No maintenance is scheduled.",
    (WORK, Kept.EARLY): lambda _asset, it, rules: (
        f"“{it.title}” is due {day_of(it.by)}. {_starts(rules.maintenance_days)}"
    ),
    (WORK, Kept.STARTED): lambda _asset, it, _rules: (
        f"We send no alert because “{it.title}” is already in progress."
    ),
    (LOW, Kept.UNSET): lambda *_: "No threshold is set.",
    (LOW, Kept.ENOUGH): lambda asset, _it, _rules: (
        f"{_stock(asset)} Alerts start below {number(asset.min_quantity or 0)}."
    ),
    (WARRANTY, Kept.UNSET): lambda *_: "No warranty date is set.",
    (WARRANTY, Kept.EARLY): lambda _asset, it, rules: (
        f"Warranty ends {day_of(it.by)}. {_starts(rules.warranty_days)}"
    ),
    (WARRANTY, Kept.PAST): lambda _asset, it, _rules: (
        f"Warranty ended {day_of(it.by)}. We send alerts only before that."
    ),
    (WARRANTY, Kept.GONE): lambda asset, *_: (
        f"{ASSET[asset.status].word} assets have no warranty alerts."
    ),
}
# The state of an asset for which an alert is due.
_DUE: Final[Mapping[EventName, Callable[[Asset, Answer], str]]] = {
    LATE: lambda _asset, it: f"Due back {exact_day(it.by)}.",
    WORK: lambda _asset, it: f"“{it.title}” is due {day_of(it.by)}.",
    LOW: lambda asset, _it: _stock(asset),
    WARRANTY: lambda _asset, it: f"Warranty ends {day_of(it.by)}.",
}


def sentence(asset: Asset, answer: Answer, status: RunStatus) -> str:
    """Return why an alert of an asset is not sent, or when it was or will be."""
    if answer.kept is Kept.OFF:
        return "These alerts are off."
    if answer.kept not in (None, Kept.SENT):
        return WORDS[answer.event, answer.kept](asset, answer, status.stored.rules)
    return f"{_DUE[answer.event](asset, answer)} {_sent(answer, status)}"


def _sent(answer: Answer, status: RunStatus) -> str:
    if answer.alert is not None:
        how = "Alert sent" if answer.alert.is_sent else "Marked as sent"
        reminded = holders_told([answer.alert]).get(answer.alert.id)
        told = f" Reminder emailed to {reminded}." if reminded else ""
        return f"{how} {exact_day(answer.alert.fired_at)}.{told}"
    if status.needs_first_answer:
        return "An administrator needs to decide whether to send it."
    return f"We’ll send it at the next check, {exact_day(status.next_at)}."


def of_kind(event: EventName, due: DueNow, status: RunStatus, now: datetime, *, is_on: bool) -> str:
    """Return the words after "3 due now": the fate of these alerts, and the next one."""
    soonest = why_not.soonest(event, now)
    following = ""
    if soonest is not None:
        asset, answer = soonest
        following = (
            f" Coming up: {asset.name}, {asset.asset_tag}. {sentence(asset, answer, status)} "
            f"We’ll send its alert {exact_day(_sent_at(answer, status.stored.rules))}."
        )
    return f"{_due(event, due, status, is_on)}{following}"


def _sent_at(answer: Answer, rules: AlertRules) -> datetime:
    """Return the time of the check that sends the alert."""
    zone = alert_settings.zone()
    if answer.event is LATE:
        return next_slot(answer.by, rules.at, zone).due_at
    days = rules.maintenance_days if answer.event is WORK else rules.warranty_days
    return slot_of(answer.by - timedelta(days=days), rules.at, zone).due_at


def _due(event: EventName, due: DueNow, status: RunStatus, is_on: bool) -> str:
    many, coming = due.due[event], due.coming.get(event, 0)
    if not many:
        return "."
    if not is_on:
        return ". We send nothing because these alerts are off."
    if not coming:
        return f". {'It was' if many == 1 else 'All were'} {DONE}."
    is_counted = coming < many <= queries.COUNT_LIMIT
    was = "was" if many - coming == 1 else "were"
    sent = f"{counted(many - coming)} {was} {DONE}. " if is_counted else ""
    words = f"{counted(coming)}{_named(due.tags.get(event, ()), coming)}"
    if status.needs_first_answer:
        return f". {sent}An administrator decides about {words} first."
    return f". {sent}The next check sends {words}."


def _named(tags: Sequence[str], many: int) -> str:
    """Return " (AST-1, AST-2, and 5 more)"."""
    shown = tags[: MOST_NAMED if many > MOST_NAMED + 1 else many]
    rest = many - len(shown)
    more = f", and {counted(rest)} more" if rest else ""
    return f" ({', '.join(shown)}{more})" if shown else ""


@dataclass(frozen=True, slots=True)
class AssetAlerts:
    """The alerts on an asset's page. `lines`: (kind, why it is not sent)."""

    last_check: str
    lines: list[tuple[EventName, str]]


def of_asset(asset: Asset) -> AssetAlerts:
    now = utcnow()
    status = alert_queries.run_status(now)
    answers = why_not.of_asset(asset, now)
    lines = [(answer.event, sentence(asset, answer, status)) for answer in answers]
    at = status.checked_at
    return AssetAlerts(last_check(at if at and at >= asset.created_at else None), lines)
