"""How a webhook fares, in sentences."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from portal.engine.events.catalogue import CATALOGUE, GROUPS, EventType, event_type
from portal.engine.health import PATIENCE_IN_WORDS, has_asked
from portal.engine.reasons import Reason, explain, title
from portal.lib.durations import is_now, relative
from portal.models.webhooks import OffReason
from portal.services.deliveries.log.rows import LogRow
from portal.services.deliveries.trends import Trend
from portal.services.operations.retention import held_until
from portal.services.outbox.status import ShownStatus
from portal.services.webhooks.queries import WebhookDetail
from portal.services.webhooks.summary import ListedWebhook, Standing
from portal.web.frame.access import can
from portal.web.frame.banner_views import sending_stop
from portal.web.frame.wording import (
    counted,
    day_of,
    days_kept,
    exact_day,
    near_time,
    plural,
)

OFF_NOTES: Final[Mapping[str, str]] = {
    OffReason.PERSON: "Turned off by a person",
    OffReason.GONE: "Turned off by us: closed for good (410)",
    OffReason.FAILING: f"Turned off by us: nothing arrived for {PATIENCE_IN_WORDS}",
    OffReason.LOST_KEY: "Turned off by us: its secrets cannot be opened",
}


def state_sentence(
    webhook: WebhookDetail,
    latest: Sequence[LogRow],
    now: datetime,
    day: Trend | None = None,
    off_by: str = "",
) -> str:
    """What stands first on the webhook's page, after its status. `day`: its last 24 hours;
    `off_by`: which person turned it off, where that is known."""
    if webhook.standing is Standing.OFF:
        return _off(webhook, now, off_by or "A person")
    if webhook.standing is not Standing.ACTIVE:
        return _failing(webhook, now)
    if webhook.last_delivered_at:
        arrived = f"The last delivery arrived {relative(webhook.last_delivered_at, now)}."
        return arrived + (_last_day(day) if day else "")
    return _before_any_event(latest, now)


def held_for(events: str = "Events that happen now") -> str:
    """What becomes of events while a webhook is off."""
    days = plural(days_kept(), "day")
    until = f"until it is turned on, at most {days}; after that only Retry sends them"
    return f"{events} are held {until}."


def off_note(webhook: ListedWebhook, now: datetime) -> str:
    """What stands under its status in the list: why it is off, or when we turn it off."""
    at = webhook.turns_off_at
    if at is not None:
        return (
            f"Off on {exact_day(at)}, if nothing arrives" if at > now else "Off at its next failure"
        )
    return OFF_NOTES[webhook.off_reason or OffReason.PERSON] if _is_off(webhook) else ""


def going_on(webhook: ListedWebhook, week: Trend | None, now: datetime) -> str:
    """What the list says of it beside its status. `week`: the trend that stands beside it."""
    note = off_note(webhook, now)
    if note:
        return note
    if webhook.standing is Standing.PAUSED:
        asked = has_asked(webhook.paused_until, now)
        return "The receiver asked us to wait" if asked else "The receiver isn't responding"
    if webhook.standing is Standing.FAILING:
        return "The last delivery to it failed"
    if not webhook.last:
        return "Nothing has been sent yet"
    if not (week and week.failed_attempts):
        return "Everything arrives"
    failed = plural(week.failed_attempts, "attempt")
    if webhook.has_missing:
        return f"Deliveries arrive, after {failed} failed"
    return f"Everything has arrived; {failed} failed first"


def turning_off(at: datetime | None, now: datetime) -> str:
    """That we will turn it off, and when; empty while that is not near."""
    if at is None:
        return ""
    if at <= now:
        return "It will be turned off when the next attempt fails."
    return f"It will be turned off on {exact_day(at)}, if nothing arrives until then."


def held_until_words(webhook: WebhookDetail) -> str:
    """Until when what is held is kept; empty where nothing is."""
    if webhook.oldest_held_at is None:
        return ""
    until = day_of(held_until(webhook.oldest_held_at, webhook.off_at))
    if webhook.held == 1:
        return f"It is kept until {until}; then it is stopped."
    days = plural(days_kept(), "day")
    return f"Each is kept for {days}, the oldest until {until}; then it is stopped."


def on_and_off(on: int, off: int) -> str:
    """How many of each: "5 webhooks are on, 1 is off."; nothing without any."""
    is_off = f", {plural(off, 'is', 'are')} off" if off else ""
    return f"{plural(on, 'webhook is', 'webhooks are')} on{is_off}." if on or off else ""


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


def _is_off(webhook: ListedWebhook) -> bool:
    return webhook.standing is Standing.OFF


def _last_day(day: Trend) -> str:
    """What went wrong in the last 24 hours although it is well now."""
    failed = f"{plural(day.failed_attempts, 'attempt')} failed" if day.failed_attempts else ""
    late = f"{plural(day.late, 'delivery', 'deliveries')} arrived late" if day.late else ""
    told = " and ".join(filter(None, (failed, late)))
    return f" In the last 24 hours {told}." if told else ""


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


def _off(webhook: WebhookDetail, now: datetime, by: str) -> str:
    """Who turned it off, and why; what becomes of events meanwhile."""
    ago = f" {relative(webhook.off_at, now)}" if webhook.off_at else ""
    happened = {
        OffReason.GONE: f"{webhook.host} said that this address is closed for good (410), "
        f"so we turned it off{ago}.",
        OffReason.FAILING: f"Nothing arrived at {webhook.host} for {PATIENCE_IN_WORDS}, "
        f"so we turned it off{ago}.",
        OffReason.LOST_KEY: "Its secret key or its custom headers cannot be opened, because the "
        f"keys of this portal were lost, so it was turned off{ago}.",
    }
    who = happened.get(OffReason(webhook.off_reason or OffReason.PERSON))
    return f"{who or f'{by} turned it off{ago}.'} {held_for()}"


def _failing(webhook: WebhookDetail, now: datetime) -> str:
    # Attempts are counted: one message that is tried again and again fails as many times.
    count = webhook.failures_in_row
    if not count:
        reason, code = webhook.fails_for
        # Without a name: the address may be what was changed.
        told = f" Before that: {title(Reason(reason), code)}." if reason else ""
        unknown = "Nothing has arrived since its settings were changed."
        return f"{unknown}{told}{_next_try(webhook, now)}{_behind(webhook)}"
    which = f"last {plural(count, 'attempt')}" if count > 1 else "last attempt"
    asked = _asked(webhook, now)
    cause = asked or _cause(webhook)
    return f"The {which} failed.{cause}{_next_try(webhook, now)}{_behind(webhook)}"


def _asked(webhook: WebhookDetail, now: datetime) -> str:
    """That the receiver wants to be left alone, and until when; empty where it has not said so."""
    reason, code = webhook.fails_for
    at = webhook.next_try_at
    if reason not in (Reason.RATE, Reason.UNAVAILABLE) or at is None:
        return ""
    is_long = webhook.is_left_alone and has_asked(at, now)
    if not is_long:
        return ""
    return f" {webhook.host} answered {code}, and asked us to wait until {near_time(at)}."


def _behind(webhook: WebhookDetail) -> str:
    """That one delivery holds others up, where they go in order."""
    many, oldest = webhook.waits_behind, webhook.oldest_open
    if not many or oldest is None:
        return ""
    waits = "delivery waits" if many == 1 else "deliveries wait"
    return (
        f" This webhook gets one at a time, in order: the one of {near_time(oldest.created_at)} has"
        f" not arrived, and {counted(many)} {waits} behind it until it has, or is stopped."
    )


def _cause(webhook: WebhookDetail) -> str:
    reason, code = webhook.fails_for
    if reason is None:
        return ""
    return " " + explain(Reason(reason), host=webhook.host, code=code).what_happened


def _next_try(webhook: WebhookDetail, now: datetime) -> str:
    at = webhook.next_try_at
    if at is None or sending_stop():
        return ""
    return f" Next attempt {'now' if is_now(at, now) else relative(at, now)}."
