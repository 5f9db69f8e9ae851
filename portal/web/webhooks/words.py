"""How a webhook fares, in sentences."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from portal.engine.events.catalogue import CATALOGUE, GROUPS, EventType, event_type
from portal.engine.reasons import Reason, explain, title
from portal.lib.durations import relative
from portal.models.webhooks import OffReason
from portal.services.deliveries.log.pages import LogRow
from portal.services.outbox.status import ShownStatus
from portal.services.webhooks.queries import Standing, WebhookDetail
from portal.web.frame.access import can
from portal.web.frame.wording import counted, plural


def state_sentence(webhook: WebhookDetail, latest: Sequence[LogRow], now: datetime) -> str:
    """What stands first on the webhook's page, after its status."""
    if webhook.standing is Standing.OFF:
        return _off(webhook)
    if webhook.standing is not Standing.ACTIVE:
        return _failing(webhook, now)
    if webhook.last_delivered_at:
        return f"The last delivery arrived {relative(webhook.last_delivered_at, now)}."
    return _before_any_event(latest, now)


def held_count(count: int) -> str:
    """A count that stops at its limit, in words: "37 deliveries", "10 000+ deliveries"."""
    return f"{counted(count)} {'delivery' if count == 1 else 'deliveries'}"


def result_of(row: LogRow) -> str:
    """What came of the last attempt, briefly; empty before there is any."""
    if row.reason:
        return title(Reason(row.reason), row.code)
    return f"Answered {row.code}" if row.code else ""


def event_choices(chosen: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What can be tested: (group, [(value, name)]), those asked for first."""
    others = [(str(each.value), each.name) for each in CATALOGUE if each.value not in chosen]
    asked_for = [(value, event_type(value).name) for value in chosen]
    groups = [("Asked for", asked_for), ("Other events", others)]
    return [group for group in groups if group[1]]


def events_of(chosen: Iterable[str]) -> list[tuple[str, list[EventType]]]:
    """The chosen events in their groups."""
    wanted = set(chosen)
    groups = [(g.label, [each for each in events if each.value in wanted]) for g, events in GROUPS]
    return [(label, events) for label, events in groups if events]


def _before_any_event(latest: Sequence[LogRow], now: datetime) -> str:
    if any(not row.is_test for row in latest):
        return "Nothing has arrived yet."
    test = next((row for row in latest if row.is_test), None)
    if test is None:
        press = " Press Test webhook to try it." if can("webhooks.test") else ""
        return f"Nothing has been sent yet.{press}"
    arrived = "arrived" if test.status is ShownStatus.DELIVERED else "has not arrived"
    was = f"The last test, {relative(test.created_at, now)}, {arrived}."
    return f"No event has been sent yet. {was}"


def _off(webhook: WebhookDetail) -> str:
    until = "you turn it on" if can("webhooks.switch") else "it is turned on"
    kept = f"Events that happen now are held until {until}."
    if webhook.off_reason == OffReason.GONE:
        return f"{webhook.host} said that this address is closed for good. {kept}"
    if webhook.off_reason == OffReason.FAILING:
        return f"Nothing arrived at {webhook.host} for five days, so we turned it off. {kept}"
    return f"Nothing is sent. {kept}"


def _failing(webhook: WebhookDetail, now: datetime) -> str:
    # Attempts are counted: one message that is tried again and again fails as many times.
    count = webhook.failures_in_row
    which = f"last {plural(count, 'attempt')}" if count > 1 else "last attempt"
    return f"The {which} failed.{_cause(webhook)}{_next_try(webhook, now)}"


def _cause(webhook: WebhookDetail) -> str:
    reason, code = webhook.fails_for
    if reason is None:
        return ""
    return " " + explain(Reason(reason), host=webhook.host, code=code).what_happened


def _next_try(webhook: WebhookDetail, now: datetime) -> str:
    at = webhook.next_try_at
    if at is None:
        return ""
    return f" Next attempt {relative(at, now)}." if at > now else " Next attempt now."
