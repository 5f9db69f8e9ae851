"""Word a webhook's status, next steps, and history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from portal.engine.circuit_breaker import PATIENCE_IN_WORDS, has_asked
from portal.engine.events.catalogue import CATALOGUE, GROUPS, EventType, event_type
from portal.engine.formats.answers import Meaning
from portal.engine.formats.chats import CHATS
from portal.engine.http.address_guard import is_exposed
from portal.engine.next_steps import ASK, EDIT, SWITCH
from portal.engine.reasons import Explanation, Reason, explain, secrets_in_question
from portal.engine.redirects import Redirect
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.durations import in_words, is_now, relative
from portal.models.deliveries import OPEN, DeliveryStatus
from portal.models.webhooks import ALL_EVENTS, OffReason
from portal.services.core.permissions import SYSTEM
from portal.services.core.queries import COUNT_LIMIT
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.trends import Share, Trend
from portal.services.mail import mails
from portal.services.outbox.at_rest import held_until
from portal.services.outbox.claimable import WaitsFor
from portal.services.webhooks.backlog import Backlog, WebhookStatus
from portal.services.webhooks.crud import Deleted
from portal.services.webhooks.held_deliveries import Resumed
from portal.services.webhooks.queries import HistoryEntry, ListedWebhook, WebhookDetail
from portal.services.webhooks.rules import WEBHOOK_FIELDS, subscribed_to
from portal.services.webhooks.turn_on_off import TurnedOn
from portal.services.webhooks.watches import Emails
from portal.web.deliveries.backlog import ABOUT_TO_TRY, backlog_words, cause_of, pause_words
from portal.web.deliveries.wording import A_MINUTE, causes_words, chat_pace, spacing_words
from portal.web.frame.access import can
from portal.web.frame.site_state import sending_stop
from portal.web.frame.wording import (
    counted,
    day_of,
    days_kept,
    due_words,
    exact_day,
    near_time,
    plural,
    to_the_second,
)
from portal.web.help.advice import (
    Advice,
    Context,
    advice_after,
    advise,
    for_reader,
    passes,
    webhook_links,
)


def state_sentence(
    webhook: WebhookDetail,
    latest: Sequence[LogRow],
    now: datetime,
    day: Trend | None = None,
    off_by: str = "",
) -> str:
    """Return the first sentences of the webhook's page.

    `day` is the trend of its last 24 hours. `off_by` is the person who turned it off, if known.
    """
    if webhook.status is WebhookStatus.OFF:
        return _off(webhook, now, off_by or "Someone")
    if webhook.backlog:
        return _failing(webhook, webhook.backlog, now)
    if webhook.last_delivered_at:
        arrived = f"The last delivery arrived {relative(webhook.last_delivered_at, now)}."
        return arrived + (_last_day(day) if day else "")
    return _before_any_event(latest, now)


def waiting_sentence(webhook: WebhookDetail, latest: Sequence[LogRow], many: int) -> str:
    """Return the number of deliveries waiting at an active webhook, and the reason.

    Return "" if none wait. `latest` are its newest deliveries, which wait the longest.
    """
    row = next((row for row in latest if row.status in OPEN and not row.is_being_sent), None)
    if row is None or not many:
        return ""
    if row.waits_for is WaitsFor.ORDER and not sending_stop():
        return _behind(webhook).strip()
    is_kept = row.waits_for is not None and not sending_stop()
    if is_kept and row.waits_for is WaitsFor.PLACES:
        many = max(1, many - row.most)
    state = "waiting" if is_kept else "queued or in progress"
    verb = "is" if many == 1 else "are"
    return f"{held_count(many)} {verb} {state}. {_why(webhook, row, many)}".strip()


def _why(webhook: WebhookDetail, row: LogRow, many: int) -> str:
    if sending_stop():
        return "We’ll send them when sending resumes."
    match row.waits_for:
        case WaitsFor.RECEIVER if row.next_try_at:
            at = near_time(row.next_try_at)
            if has_asked(row.next_try_at, utcnow()):
                return f"{webhook.name} asked us to wait until {at}."
            return f"Sending is paused until {at} because the last attempt failed."
        case WaitsFor.PACE:
            took = many * CHATS[row.webhook_format or ""].pace
            is_long = took > A_MINUTE and many <= COUNT_LIMIT
            end = f" At that pace, they take about {in_words(took.total_seconds())}."
            return f"{chat_pace(row.webhook_format)}.{end if is_long else ''}"
        case WaitsFor.CONNECTION:
            return f"This server can’t connect to {webhook.host}."
        case WaitsFor.PLACES if row.webhook_format:
            return "We send one at a time. One is in progress."
        case WaitsFor.PLACES if row.most == 1:
            first = "The last attempt failed, so we send one first."
            return f"{first} The others follow after it’s delivered."
        case WaitsFor.PLACES:
            return f"We send up to {row.most} at a time. {row.most} are in progress."
    return ""


def held_for() -> str:
    """Return the sentence about how long new events are held while a webhook is off."""
    kept = plural(days_kept(), "day")
    return f"New events are on hold for {kept} and can be sent once it’s on again."


# A job that runs every minute turns it on. After this time, something keeps it off.
SOON_ON: Final = timedelta(minutes=2)
# For a healthy webhook, by the status of its last delivery.
IN_PROGRESS: Final = "Deliveries in progress"
NOT_YET: Final[Mapping[DeliveryStatus, str]] = {
    DeliveryStatus.QUEUED: IN_PROGRESS,
    DeliveryStatus.RETRYING: IN_PROGRESS,
    DeliveryStatus.ON_HOLD: "Deliveries on hold",
    DeliveryStatus.DISMISSED: "Last delivery dismissed",
}


TESTED: Final[Mapping[DeliveryStatus, str]] = {
    DeliveryStatus.DELIVERED: "Last test delivered",
    DeliveryStatus.FAILED: "Last test failed",
}


def off_note(webhook: ListedWebhook, now: datetime) -> str:
    """Return the end of its off state or the time we turn it off, or "" if neither is known."""
    if webhook.off_until:
        is_late = webhook.off_until < now - SOON_ON
        words = "Should have turned on" if is_late else "Off until"
        return f"{words} {due_words(webhook.off_until, now)}"
    at = webhook.turns_off_at
    if at is None:
        return ""
    if at <= now:
        return "Turns off at the next failure"
    return f"Turns off on {exact_day(at)} unless a delivery succeeds"


def going_on(
    webhook: ListedWebhook, week: Trend | None, share: Share | None = None
) -> Sequence[str]:
    """Return the sentences beside its status in the list.

    `week` and `share` are the trend and the share beside them.
    """
    if webhook.backlog:
        return list(filter(None, (cause_of(webhook.backlog), *backlog_words(webhook.backlog))))
    if webhook.status is WebhookStatus.OFF:
        held = [f"{counted(webhook.held)} on hold"] if webhook.held else []
        return ["Turned off manually", *held]
    if not webhook.last:
        test = TESTED.get(webhook.last_test.status) if webhook.last_test else None
        return [*([test] if test else []), "No deliveries yet"]
    if not_yet := NOT_YET.get(webhook.last.status):
        return [not_yet]
    # Others can be queued or dismissed.
    arrived = "Latest delivered" if share and share.undelivered else "All delivered"
    if not (week and week.failed_attempts):
        return [arrived]
    return [f"{arrived} after {plural(week.failed_attempts, 'failed attempt')}"]


def turning_off(at: datetime | None, now: datetime) -> str:
    """Return the sentence about when we turn it off, or "" while that is not near."""
    if at is None:
        return ""
    if at <= now:
        return "We’ll turn it off if the next attempt fails."
    return f"We’ll turn it off on {exact_day(at)} unless a delivery succeeds."


def held_until_words(webhook: WebhookDetail) -> str:
    """Return the sentence about the expiry of deliveries on hold, or "" without any."""
    if webhook.oldest_held_at is None:
        return ""
    until = day_of(held_until(webhook.oldest_held_at, webhook.off_at))
    if webhook.held == 1:
        return f"It expires on {until}."
    return f"Each expires after {plural(days_kept(), 'day')}, the oldest on {until}."


def on_and_off(on: int, off: int) -> str:
    """Return "5 on, 1 off", or "" without any."""
    return ", ".join(f"{counted(many)} {word}" for many, word in ((on, "on"), (off, "off")) if many)


def held_count(count: int) -> str:
    """Return "37 deliveries", or "10,000+ deliveries" above the limit of counts."""
    return f"{counted(count)} {'delivery' if count == 1 else 'deliveries'}"


def turned_off_words(name: str, until: datetime | None) -> str:
    return f"{name} turned off{f' until {due_words(until)}' if until else ''}."


def turned_on_words(done: TurnedOn, *, rest_stays: bool = False) -> str:
    """Return the message that a webhook was turned on and deliveries are queued.

    Return "" for neither. Queued deliveries might still fail. `rest_stays` means that unselected
    ones stay on hold.
    """
    words = [f"{done.name} turned on." if done.was_off else ""]
    if done.sent:
        words.append(f"We’re sending {held_count(done.sent)}.")
    elif rest_stays:
        words.append("Its deliveries stay on hold.")
    return " ".join(filter(None, words))


def deleted_words(deleted: Deleted) -> str:
    """Return the message that a webhook was deleted and its deliveries dismissed."""
    many, words = deleted.dismissed, f"{deleted.name} deleted."
    if not many:
        return words
    if deleted.is_done:
        return f"{words} Dismissed {held_count(many)}."
    return f"{words} We’re dismissing {held_count(many)}."


def resumed_words(resumed: Resumed) -> str:
    """Return the message about the deliveries sent now and those that follow."""
    if not resumed.total:
        return "No deliveries are waiting."
    if resumed.total == 1 or not resumed.has_probe:
        return f"Resumed sending {held_count(resumed.total)}."
    follow = "the other follows" if resumed.total == 2 else "the others follow"
    first = f"We’re sending 1 of {held_count(resumed.total)} first"
    return f"Sending resumed. {first}. If it’s delivered, {follow}."


def event_choices(chosen: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the events to test with as (group, [(value, name)]), the subscribed ones first."""
    sent = subscribed_to(chosen)
    others = [(str(event.value), event.name) for event in CATALOGUE if event.value not in sent]
    subscribed = [(value, event_type(value).name) for value in sent]
    groups = [("Subscribed to", subscribed), ("Other events", others)]
    return [group for group in groups if group[1]]


def order_words(webhook: WebhookDetail) -> str:
    """Return the order of deliveries, such as "One at a time, about one a second"."""
    if webhook.format not in CHATS:
        return "One at a time, in order" if webhook.in_order else "Any order, in parallel"
    in_order = ", in order" if webhook.in_order else ""
    return f"One at a time{in_order}, about one {spacing_words(webhook.format)}"


def limits(webhook: WebhookDetail) -> list[tuple[str, str]]:
    """Return how long we wait for a response, how often we try, and when we turn it off."""
    ours = settings()
    schedule = ours.webhook_retry_schedule
    lasting = f" over {in_words(sum(schedule))}" if len(schedule) > 1 else ""
    behind = ". Later deliveries wait for it" if webhook.in_order else ""
    closed = "a 404 or 410 response" if webhook.format == "discord" else "a 410 response"
    return [
        ("Response", f"We wait up to {plural(ours.webhook_timeout, 'second')}"),
        ("Attempts", f"Up to {len(schedule)}{lasting}{behind}"),
        ("Turned off", f"After {PATIENCE_IN_WORDS} without a success, or right away at {closed}"),
    ]


def events_count(chosen: Sequence[str]) -> str:
    """Return "12 of 21" for the subscribed events, or "All events"."""
    return "All events" if ALL_EVENTS in chosen else f"{len(chosen)} of {len(CATALOGUE)}"


def events_of(chosen: Sequence[str]) -> list[tuple[str, list[EventType]]]:
    """Return the chosen events by group."""
    values = set(subscribed_to(chosen))
    groups = [(g.label, [event for event in all_ if event.value in values]) for g, all_ in GROUPS]
    return [(label, events) for label, events in groups if events]


def _last_day(day: Trend) -> str:
    """Return the failures of the last 24 hours of a webhook that is healthy now."""
    failed = f"{plural(day.failed_attempts, 'attempt')} failed" if day.failed_attempts else ""
    late = f"{plural(day.late, 'delivery was', 'deliveries were')} late" if day.late else ""
    troubles = " and ".join(filter(None, (failed, late)))
    return f" In the last 24 hours, {troubles}." if troubles else ""


def _before_any_event(latest: Sequence[LogRow], now: datetime) -> str:
    if any(not row.is_test for row in latest):
        return "Nothing delivered yet."
    ask = "Send a test to try it." if can("webhooks.test") and not latest else ""
    return " ".join(filter(None, ("No events yet.", last_test(latest, now) or ask)))


def last_test(latest: Sequence[LogRow], now: datetime) -> str:
    """Return the result of the last finished test among the `latest`, or ""."""
    test = next((row for row in latest if row.is_test and row.status not in OPEN), None)
    if test is None:
        return ""
    was = "was delivered" if test.status is DeliveryStatus.DELIVERED else "wasn’t delivered"
    return f"The last test, {relative(test.created_at, now)}, {was}."


def _off(webhook: WebhookDetail, now: datetime, by: str) -> str:
    """Return who turned it off, why, and that events are put on hold."""
    ago = f" {relative(webhook.off_at, now)}" if webhook.off_at else ""
    happened = {
        OffReason.GONE: f"Turned off automatically{ago}. {webhook.name} permanently "
        "closed its URL.",
        OffReason.FAILING: f"Turned off automatically{ago}. No delivery to {webhook.host} "
        f"succeeded for {PATIENCE_IN_WORDS}.",
        OffReason.LOST_KEY: f"Turned off automatically{ago}. Its secrets can’t be decrypted "
        "because the portal’s encryption keys are lost.",
    }
    who = happened.get(OffReason(webhook.off_reason or OffReason.PERSON))
    if webhook.off_until:
        return f"{by} turned it off{ago}, {_off_until(webhook, webhook.off_until, now)}"
    return f"{who or f'{by} turned it off{ago}.'} {_on_hold(webhook)}"


def _off_until(webhook: WebhookDetail, until: datetime, now: datetime) -> str:
    """Return the end of the off state and its effect, or the reason it is still off."""
    held = held_count(webhook.held)
    on_hold = f"{held} {'is' if webhook.held == 1 else 'are'} on hold."
    words = [f"until {due_words(until, now)}.", on_hold if webhook.held else ""]
    if until > now:
        words.append("We’ll turn it on then and send everything on hold.")
    elif webhook.undecryptable:
        parts = " and ".join(webhook.undecryptable)
        words.append(f"We can’t turn it on because its {parts} can’t be decrypted.")
    elif sending_stop():
        words.append("We’ll turn it on when sending resumes.")
    else:
        words.append("We’re about to turn it on.")
    return " ".join(filter(None, words))


def _on_hold(webhook: WebhookDetail) -> str:
    if not webhook.held:
        return held_for()
    verb = "is" if webhook.held == 1 else "are"
    until = held_until_words(webhook)
    return f"{held_count(webhook.held)} {verb} on hold. {until} New events are put on hold too."


def _failing(webhook: WebhookDetail, backlog: Backlog, now: datetime) -> str:
    """Return the undelivered count, the causes, and the next attempt."""
    sentences = [f"{words}." for words in backlog_words(backlog)]
    if backlog.changed_at:
        at = near_time(backlog.changed_at)
        sentences.append(f"Its settings changed at {at}, after the first failure.")
    elif backlog.causes:
        sentences.append(f"Cause: {causes_words(backlog.causes)}.")
    sentences.append(_next_attempt(backlog, now))
    return " ".join(filter(None, sentences)) + _behind(webhook)


def _behind(webhook: WebhookDetail) -> str:
    """Return the sentence that one delivery blocks others, if they are sent in order."""
    many, oldest = webhook.waits_behind, webhook.oldest_open
    if not many or oldest is None:
        return ""
    waits = "delivery waits" if many == 1 else "deliveries wait"
    return (
        f" This webhook sends in order. {counted(many)} {waits} behind the one from "
        f"{near_time(oldest.created_at)} until it’s delivered or dismissed."
    )


def _next_attempt(backlog: Backlog, now: datetime) -> str:
    """Return the reason the next attempt is delayed, or its time."""
    if pause := pause_words(backlog):
        return f"{pause}."
    at = backlog.next_attempt_at
    if at is None or sending_stop():
        return ""
    if is_now(at, now):
        return f"{ABOUT_TO_TRY}."
    return f"The next attempt is {relative(at, now)}."


def emails_words(emails: Emails) -> list[str]:
    """Return sentences about who gets a webhook's emails, and about problems sending them."""
    when = "it fails, before we turn it off, and when it works again."
    words = [f"You get an email when {when}" if emails.is_on else f"Get an email when {when}"]
    if emails.stands_in:
        words.append("No one owns this webhook, so administrators get its emails.")
    # If nobody gets emails, that comes before the way to change it.
    is_nobody = not (emails.is_on or emails.others)
    words.insert(0 if is_nobody else len(words), _others(emails))
    if mails.is_mailbox() and can("system.read"):
        words.append("This local trial shows its emails under Settings → Email.")
    elif not mails.is_on():
        words.append(f"{not_set_up()} We keep your choice.")
    return words


def not_set_up() -> str:
    """Return that email isn't set up, with the fix."""
    setup = for_reader("system.read", "Set SMTP_URL on the server.", f"{ASK} to set it up.")
    return f"Email isn’t set up, so we don’t send any. {setup}"


def _others(emails: Emails) -> str:
    """Return the names of the others who get them, or their number for users who may not know."""
    names, also = emails.others, "also " if emails.is_on else ""
    if not names:
        return "No one else gets one." if emails.is_on else "No one gets an email when it fails."
    if can("people.manage"):
        rest = len(names) - 2
        shown = [*names] if rest < 2 else [*names[:2], f"{counted(rest)} others"]
        first, last = ", ".join(shown[:-1]), shown[-1]
        comma = "," if len(shown) > 2 else ""
        who = f"{first}{comma} and {last}" if first else last
    else:
        other = "other " if emails.is_on else ""
        who = plural(len(names), f"{other}person", f"{other}people")
    return f"{who} {also}get{'s' if len(names) == 1 else ''} one."


def advice_of(
    webhook: WebhookDetail,
    failed_at: datetime | None = None,
    said: str = "",
    meaning: Meaning | None = None,
    redirect: Redirect | None = None,
) -> Advice | None:
    """Return the next step for a webhook, or None if it needs none.

    `failed_at` is its last failed attempt. `said` is the response to most of them, `meaning` is
    its meaning, and `redirect` its target.
    """
    reason = reason_of(webhook)
    cause = webhook.backlog.cause if webhook.backlog else None
    if reason is None or (cause and cause.failed and passes(reason, meaning)):
        return None
    secrets = secrets_in_question(said, is_signed=webhook.has_secret)
    explained = _explained(webhook, reason, failed_at, secrets, redirect)
    if meaning:
        explained = meaning.explained(explained)
    matter = _matter(webhook, explained.what_happened)
    links = webhook_links(webhook.public_id, reason, meaning, redirect)
    return advice_after(
        reason, explained, matter, links, meaning=meaning, redirect=redirect, secrets=secrets
    )


def advice_about_held(webhook: WebhookDetail) -> Advice:
    """Return the next step for deliveries on hold of a webhook that is on."""
    return advise(
        SWITCH,
        "Send or dismiss the deliveries on hold.",
        f"{ASK} to send or dismiss the deliveries on hold.",
        context=_matter(webhook, "Deliveries to this webhook are on hold."),
    )


def advice_about_key(webhook: WebhookDetail) -> Advice:
    """Return the next step for a replaced key."""
    return advise(
        "webhooks.secret",
        "Give the receiver’s team the new secret key before then.",
        f"{ASK} to give the receiver’s team the new secret key before then.",
        context=_matter(webhook, "The secret key was replaced. The earlier one expires soon."),
    )


def about_undecryptable(webhook: WebhookDetail) -> str:
    """Return the sentences about stored parts that can't be decrypted, with the fix."""
    own = "Edit the webhook and enter new ones or restore the earlier ENCRYPTION_KEYS."
    others = f"{ASK} to enter new ones."
    todo = for_reader(EDIT, own, others, webhook.public_id)
    parts = " and ".join(webhook.undecryptable)
    return f"We can’t decrypt the stored {parts}. {todo}"


def about_plain_address(webhook: WebhookDetail) -> str:
    """Return the warning that others can read deliveries to http://, with the fix, or ""."""
    if webhook.is_inbox or not is_exposed(webhook.url):
        return ""
    own = "Use https:// if the receiver supports it."
    others = f"{ASK} to use https:// if the receiver supports it."
    todo = for_reader(EDIT, own, others, webhook.public_id)
    return f"Others on the network can read deliveries to an http:// URL. {todo}"


def reason_of(webhook: WebhookDetail) -> Reason | None:
    """Return why action is needed, or None if unknown or if a button alone is enough."""
    if webhook.status is WebhookStatus.OFF:
        if webhook.off_reason == OffReason.GONE:
            return Reason.GONE
        # Users who may turn it on have a button for it, and nobody has to if we do.
        return None if can(SWITCH) or webhook.off_until else Reason.WEBHOOK_OFF
    cause = webhook.backlog.cause if webhook.backlog else None
    return cause.reason if cause else None


def _explained(
    webhook: WebhookDetail,
    reason: Reason,
    failed_at: datetime | None,
    secrets: str,
    redirect: Redirect | None,
) -> Explanation:
    backlog = webhook.backlog
    code = backlog.cause.code if backlog and backlog.cause else None
    time = to_the_second(failed_at) if failed_at else ""
    location = redirect.shown if redirect else ""
    return explain(
        reason, host=webhook.host, code=code, time=time, location=location, secrets=secrets
    )


def _matter(webhook: WebhookDetail, happened: str) -> Context:
    return Context(
        webhook=webhook.public_id,
        name=webhook.name,
        happened=happened,
        held=f"{held_count(webhook.held)}. {held_until_words(webhook)}" if webhook.held else "",
        since=webhook.off_at or (webhook.backlog.since if webhook.backlog else None),
        path=f"/settings/webhooks/{webhook.public_id}",
    )


ACTIONS: Final = {
    "webhook.created": "created this webhook",
    "webhook.changed": "changed this webhook",
    "webhook.turned_on": "turned this webhook on",
    "webhook.turned_off": "turned this webhook off",
    "webhook.off_until_changed": "changed when this webhook is turned on",
    "webhook.decided_about_held": "queued deliveries on hold",
    "webhook.secret_switched": "switched to the new secret key",
    "webhook.tested_before_saving": "tested this webhook’s form before saving",
    "webhook.waiting_sent": "resumed sending",
    "webhook.deliveries_dismissed": "dismissed this webhook’s deliveries",
    "webhook.deliveries_restored": "restored this webhook’s deliveries",
    "webhook.taken": "took this webhook",
    "webhook.note_added": "added a note to this webhook",
    "webhook.noted": "changed this webhook’s note",
    "webhook.note_removed": "removed this webhook’s note",
    "webhook.handed_over": "handed over this webhook",
    "webhook.released": "released this webhook",
    "webhook.take_ended": "released this webhook because nothing is failing",
    # Former names of actions.
    "webhook.problem_dismissed": "dismissed this webhook’s failures",
    "webhook.problem_brought_back": "restored this webhook’s dismissed failures",
}
FIELDS: Final = {
    **{field.name: field.label for field in WEBHOOK_FIELDS},
    "cause": "Cause",
    "off_until": "Off until",
    "deliveries_send": "Deliveries on hold queued",
    "deliveries_discard": "Deliveries on hold dismissed",
    "deliveries_dismissed": "Deliveries dismissed",
    "deliveries_stopped": "Deliveries stopped",
    "reason": "Reason",
    "why": "Reason",
    "note": "Note",
    "taken_by": "Taken by",
    "deliveries": "Deliveries",
    "failed_deliveries": "Failed deliveries",
    "selected_deliveries": "Selected deliveries",
}
# For a URL that looks the same before and after.
UNSEEN_PART: Final = "a secret part changed"
BLAMED_ACTIONS: Final = {
    "webhook.created": "it was created",
    "webhook.turned_on": "it was turned on",
    "webhook.secret_switched": "it switched to the new secret key",
}
# Failures that begin later have another cause.
SUSPECT_FOR: Final = timedelta(hours=24)
RIGHT_AFTER: Final = timedelta(seconds=5)
TONES: Final = {
    "webhook.turned_on": "success",
    "webhook.turned_off": "warning",
    "webhook.created": "info",
}


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One entry of the history. `details` are (label, before, after), and before can be blank."""

    at: datetime
    sentence: str
    tone: str
    details: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Beginning:
    """The change shortly before the first failure. `is_change` means a change of settings."""

    sentence: str
    is_change: bool


def failures_began(since: datetime | None, changes: Sequence[HistoryEntry]) -> Beginning | None:
    """Return "Failures started 4 minutes after the URL was edited", or None without a change."""
    if since is None:
        return None
    for change in changes:  # the newest first
        blamed = _blamed(change)
        waited = since - change.at
        if blamed and timedelta() <= waited < SUSPECT_FOR:
            after = "right" if waited < RIGHT_AFTER else in_words(waited.total_seconds())
            is_change = change.action not in ("webhook.created", "webhook.turned_on")
            return Beginning(f"Failures started {after} after {blamed}.", is_change)
    return None


def has_moved(since: datetime, changes: Sequence[HistoryEntry]) -> bool:
    """Return whether the URL was changed after that time."""
    return any(
        entry.at > since and entry.action == "webhook.changed" and "url" in entry.changes
        for entry in changes
    )


def history_lines(
    changes: Sequence[HistoryEntry],
    since: datetime | None = None,
    created_at: datetime | None = None,
) -> list[HistoryLine]:
    """Return the audit trail of one webhook in words, with the start of its failures.

    If it has no entry, the creation of the webhook is included.
    """
    lines = [
        HistoryLine(
            at=entry.at,
            sentence=f"{_who(entry)} {ACTIONS.get(entry.action, 'changed this webhook')}",
            tone=TONES.get(entry.action, "neutral"),
            details=[_detail(name, change) for name, change in entry.changes.items()],
        )
        for entry in changes
    ]
    if created_at and not changes:
        words = "No changes since this webhook was created"
        lines.append(HistoryLine(created_at, words, "info", []))
    if since is not None:
        began = failures_began(since, changes)
        words = began.sentence.rstrip(".") if began else "Failures started"
        lines.append(HistoryLine(since, words, "danger", []))
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _who(change: HistoryEntry) -> str:
    """Return the person, or "We" for the portal's own actions."""
    return "We" if change.by == SYSTEM.name else change.by


def _blamed(change: HistoryEntry) -> str:
    if change.action in BLAMED_ACTIONS:
        return BLAMED_ACTIONS[change.action]
    if change.action != "webhook.changed":
        return ""
    fields = [field for field in WEBHOOK_FIELDS if field.name in change.changes]
    return " and ".join(field.blamed for field in fields if field.blamed)


def _detail(name: str, change: dict[str, Any]) -> tuple[str, str, str]:
    before, after = change.get("from"), change.get("to")
    if name == "events":
        return _events_detail(before or [], after or [])
    if name == "url" and before == after:
        return FIELDS[name], "", f"{after} ({UNSEEN_PART})"
    if name == "note" and not after:
        return "Note removed", "", str(before)
    if name == "conditions":
        return FIELDS[name], conditions_words(before), conditions_words(after)
    if name == "off_until":
        return FIELDS[name], off_until_words(before), off_until_words(after)
    if name == "custom_headers" and before == after:
        return FIELDS[name], "", "a value changed"
    return FIELDS.get(name, name), _shown(before), _shown(after)


def _events_detail(before: list[str], after: list[str]) -> tuple[str, str, str]:
    if not before or ALL_EVENTS in (*before, *after):
        return FIELDS["events"], _event_names(before), _event_names(after)
    added = [f"added {event_type(value).name}" for value in after if value not in before]
    removed = [f"removed {event_type(value).name}" for value in before if value not in after]
    return FIELDS["events"], "", ", ".join(added + removed)


def _event_names(values: Sequence[str]) -> str:
    if ALL_EVENTS in values:
        return "All events"
    return ", ".join(event_type(value).name for value in values)


def off_until_words(stored: str | None) -> str:
    """Return the end of the off state as stored in the audit trail, in words."""
    return exact_day(datetime.fromisoformat(stored)) if stored else ""


def conditions_words(sentences: list[str] | None) -> str:
    """Join the conditions, all of which have to be true, in one line."""
    return "" if sentences is None else " and ".join(sentences) or "none"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)
