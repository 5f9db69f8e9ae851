"""Word the state and outlook of a delivery, for its page and for lists."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from portal.engine.circuit_breaker import has_asked
from portal.engine.events.catalogue import event_type
from portal.engine.formats.chats import CHATS
from portal.engine.http.address_guard import host_of
from portal.engine.reasons import UNCLEAR, Reason, title
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.durations import in_words, is_now
from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries.detail import AttemptDetail, Delay, DeliveryDetail, find_delay
from portal.services.deliveries.log import LogRow
from portal.services.outbox.at_rest import held_until
from portal.services.outbox.claimable import WaitsFor
from portal.services.webhooks.backlog import Cause
from portal.web.frame.site_state import sending_stop
from portal.web.frame.wording import (
    counted,
    day_of,
    moment,
    near_time,
    offline_sentence,
    plural,
    stop_sentence,
    to_the_second,
)

# The page keeps polling for a retry this near.
SOON: Final = timedelta(seconds=15)
A_MINUTE: Final = timedelta(minutes=1)
NONE: Final = "None"
DELAYS: Final = {
    Delay.NO_WORKER: "No delivery worker is running.",
    Delay.PLACES: "{name} hasn’t responded to an earlier request yet.",
    Delay.TURN: "Other deliveries are ahead of it in the queue.",
}


def deliveries(count: int) -> str:
    """Return "1 delivery" or "1,234 deliveries"."""
    return plural(count, "delivery", "deliveries")


def event_name(event: str) -> str:
    """Return the plain name of an event."""
    return event_type(event).name


def by_status(counts: Mapping[DeliveryStatus, int]) -> str:
    """Return "141 retrying, 2 queued", the largest count first."""
    pairs = sorted(((many, status) for status, many in counts.items() if many), reverse=True)
    return ", ".join(f"{counted(many)} {status.replace('_', ' ')}" for many, status in pairs)


def causes_words(causes: Sequence[Cause]) -> str:
    """Return "Server error (500) and 2 other causes", or "" for none. The most common is first."""
    if len(causes) < 2:
        return "".join(cause.words for cause in causes)
    return f"{causes[0].words} and {plural(len(causes) - 1, 'other cause')}"


def held_end(created_at: datetime, off_at: datetime | None) -> str:
    """Return "Expires Dec 24" for a delivery on hold. Takes the arguments of `held_until`."""
    return f"Expires {day_of(held_until(created_at, off_at))}"


def turns_on_at(off_until: datetime | None) -> datetime | None:
    """Return the future time at which we turn its webhook on, or None if a person has to."""
    return off_until if off_until and off_until > utcnow() else None


def tries(made: int) -> str:
    """Return "2 of 10" for the scheduled attempts that were made."""
    return f"{made} of {len(settings().webhook_retry_schedule)}"


def took(milliseconds: int | None) -> str:
    """Return the duration of the last attempt."""
    return "" if milliseconds is None else in_words(milliseconds / 1000)


NOW: Final = "Now"


def attempt_time(at: datetime) -> datetime | str:
    """Return the time of a next attempt, or "Now" once it has come."""
    return NOW if is_now(at, utcnow()) else at


class Outlook(NamedTuple):
    """The reason a delivery waits, the next action, and its time, in a few words."""

    why: str
    then: str
    when: str


def outlook_of(delivery: DeliveryDetail, clock: Callable[[datetime], str] = near_time) -> Outlook:
    """Explain why a delivery is unsent, and name the next action. `clock` formats times."""
    name = f"“{delivery.webhook_name}”"
    if delivery.status is DeliveryStatus.DELIVERED:
        return Outlook("", "", NONE)
    if delivery.status is DeliveryStatus.DISMISSED:
        by, at = delivery.dismissed_by, delivery.dismissed_at
        then = "We won’t send it unless someone restores or retries it."
        if delivery.is_webhook_deleted:
            then = f"You can’t restore it because {name} was deleted."
        return Outlook(f"{dismissed_by(by, at, delivery.dismissed_reason)}.", then, NONE)
    if delivery.is_webhook_deleted:
        return Outlook(f"{name} was deleted.", "We won’t send this delivery.", NONE)
    if delivery.comes_to_rest or delivery.status is DeliveryStatus.ON_HOLD:
        end = held_end(delivery.created_at, delivery.webhook_off_at)
        if not delivery.is_webhook_off:
            then = f"Someone needs to send it from the webhook’s page. {end}."
            return Outlook(f"Still on hold, although {name} is on.", then, "When someone sends it")
        if until := turns_on_at(delivery.webhook_off_until):
            why = f"On hold because {name} is off until {clock(until)}."
            return Outlook(why, "We’ll send this delivery then.", clock(until))
        why = f"On hold because {name} is off."
        then = f"It waits until someone turns the webhook on and sends it. {end}."
        return Outlook(why, then, "When the webhook is turned on")
    if delivery.status is DeliveryStatus.FAILED:
        return _failed(delivery)
    return _open(delivery, clock)


def _failed(delivery: DeliveryDetail) -> Outlook:
    if delivery.is_test:
        others = "Tests don’t affect other deliveries."
        if many := delivery.alike:
            are = "delivery is" if many == 1 else "deliveries are"
            others = f"{counted(many)} other {are} undelivered for the same reason."
        return Outlook("", others, NONE)
    is_spent = delivery.tries >= len(settings().webhook_retry_schedule)
    why = f"“{delivery.webhook_name}” is off." if delivery.is_webhook_off else ""
    return Outlook(why, "Automatic retries have ended.", "None left" if is_spent else NONE)


def _open(delivery: DeliveryDetail, clock: Callable[[datetime], str]) -> Outlook:
    """Return the outlook of an open delivery whose webhook is on."""
    name, at = f"“{delivery.webhook_name}”", clock(delivery.next_try_at)
    if delivery.is_being_sent:
        return Outlook(f"Sending to {host_of(delivery.webhook_url) or name} now.", "", NOW)
    if delivery.waits_for_start and delivery.stop:
        then = "We’ll send this delivery when sending resumes."
        return Outlook(stop_sentence(delivery.stop), then, "When sending resumes")
    if delivery.waits_for_connection and delivery.offline:
        then = "We’ll send this delivery when this server can connect again."
        return Outlook(offline_sentence(delivery.offline), then, "When this server can connect")
    if delivery.waits_for is WaitsFor.ORDER:
        then = "This webhook sends one at a time, in order."
        return Outlook("Waiting for an older delivery.", then, "After an older delivery")
    verb = "send" if delivery.is_untried else "retry"
    if delivery.waits_for is WaitsFor.RECEIVER:
        causes = delivery.pause_causes
        because = f" ({causes_words(causes)})" if causes and causes[0].reason else ""
        why = f"Sending to {name} is paused until {at} after failed attempts{because}."
        if delivery.has_asked:
            why = f"{name} asked us to wait until {at}."
        if delivery.may_go_later:
            then = "We’ll try one delivery first. If it’s delivered, the rest follow."
            return Outlook(why, then, f"{at} or later")
        return Outlook(why, f"We’ll {verb} this delivery then.", at)
    is_due = is_now(delivery.next_try_at, delivery.now)
    if delivery.waits_for is WaitsFor.PACE:
        why = f"{chat_pace(delivery.webhook_format)}."
        if not delivery.before:
            return Outlook(why, f"We’ll {verb} this delivery next.", NOW)
        others = "delivery goes" if delivery.before == 1 else "deliveries go"
        then = f"{counted(delivery.before)} {others} first."
        if delivery.next_try_at - delivery.now > A_MINUTE:
            then += f" We’ll {verb} this one at {at} or later."
        return Outlook(why, then, f"{at} or later")
    if delivery.status is DeliveryStatus.RETRYING and not delivery.is_manual and not is_due:
        return Outlook("", f"We’ll retry at {at}.", at)
    delay = find_delay(delivery)
    when = "After a request in progress" if delay is Delay.PLACES else NOW
    why = DELAYS[delay].format(name=name) if delay else ""
    return Outlook(why, "Queued to be sent.", when)


def dismissed_by(who: str | None, at: datetime | None, reason: str | None) -> str:
    """Return "Sam Okoro dismissed this Nov 27, 14:06: Test data"."""
    whose = f"{who} dismissed this" if who else "Dismissed"
    when = f" {moment(at).text}" if at else ""
    return f"{whose}{when}{f': {reason}' if reason else ''}"


def made_of(delivery: DeliveryDetail) -> str:
    """Return "3 of 10 automatic attempts and 1 manual retry made.", or all of a failed one.

    It also names the person who requested a retry that is in progress.
    """
    by_people = sum(attempt.kind == AttemptKind.MANUAL for attempt in delivery.ended_attempts)
    retries = plural(by_people, "manual retry", "manual retries")
    if delivery.status is DeliveryStatus.FAILED:
        if delivery.is_test:
            return "The test wasn’t delivered."
        end = f" and {retries}" if by_people else ""
        return f"Not delivered after {plural(delivery.tries, 'attempt')}{end}."
    asked = f"{delivery.requested_by} requested a retry." if delivery.is_manual else ""
    if delivery.status is DeliveryStatus.DELIVERED or not (delivery.tries or by_people):
        return asked
    made = f"{tries(delivery.tries)} {'automatic ' if by_people else ''}attempts"
    if by_people:
        made = f"{made} and {retries}" if delivery.tries else retries
    return f"{made} made. {asked}".rstrip()


def chat_pace(format_: str | None) -> str:
    """Return "Slack takes one a second". The format has to be a chat's."""
    return f"{CHATS[format_ or ''].name} takes one {spacing_words(format_)}"


def spacing_words(format_: str | None) -> str:
    """Return "a second", or "every 2 seconds" between two posts."""
    seconds = round(CHATS[format_ or ""].pace.total_seconds())
    return "a second" if seconds == 1 else f"every {seconds} seconds"


def _open_note(row: LogRow) -> str:
    """Return the reason an open delivery waits, or its last failed attempt."""
    if row.next_try_at is None:
        return kept_words(row)
    return pause_words(row) or kept_words(row) or attempts_words(row) or NOW


def pause_words(row: LogRow) -> str:
    """Return the reason its webhook is paused, or "" if no pause delays the delivery."""
    if row.waits_for is not WaitsFor.RECEIVER or row.next_try_at is None or sending_stop():
        return ""
    is_asked = has_asked(row.next_try_at, utcnow())
    return "The receiver asked us to wait" if is_asked else "Paused after failed attempts"


def attempts_words(row: LogRow) -> str:
    """Return "Attempt 4 of 10" during automatic retries, or "10 attempts" after it has failed."""
    if not row.tries or row.is_test:
        return ""
    if row.status is DeliveryStatus.FAILED:
        return plural(row.tries, "attempt")
    is_usual = row.status is DeliveryStatus.RETRYING and not row.is_manual
    return f"Attempt {tries(row.tries)}" if is_usual else ""


def kept_words(row: LogRow) -> str:
    """Return "Sending now", or the reason an open delivery can't be sent, or ""."""
    if row.is_being_sent:
        return "Sending now"
    if row.waits_for is WaitsFor.ORDER:
        return "After an older delivery"
    if row.next_try_at is None:  # its webhook is off or deleted
        return ""
    if sending_stop():
        return "When sending resumes"
    match row.waits_for:
        case WaitsFor.RECEIVER:  # one goes first, the others once it is delivered
            return f"{near_time(row.next_try_at)} or later"
        case WaitsFor.PACE:
            return chat_pace(row.webhook_format)
        case WaitsFor.CONNECTION:
            return "When this server can connect"
        case WaitsFor.PLACES:
            of_all = f"1 of {row.most} requests" if row.most > 1 else "the request"
            return f"After {of_all} in progress"
    return ""


def _resent_note(row: LogRow) -> str:
    if row.resent is None:
        return ""
    reason, code = row.resent
    return f"Resend failed: {title(Reason(reason), code)}"


def _dismissed_note(row: LogRow) -> str:
    """Return "Sam Okoro, Nov 27, 14:06: Test data"."""
    when = near_time(row.dismissed_at) if row.dismissed_at else ""
    who = ", ".join(filter(None, (row.dismissed_by, when)))
    return ": ".join(filter(None, (who, row.dismissed_reason)))


# Notes beside a status in lists. Names and looks of statuses are in `DELIVERY` in
# `frame/status_tags.py`.
NOTES: Final[Mapping[DeliveryStatus, Callable[[LogRow], str]]] = {
    DeliveryStatus.QUEUED: _open_note,
    DeliveryStatus.RETRYING: _open_note,
    DeliveryStatus.ON_HOLD: lambda row: held_end(row.created_at, row.webhook_off_at),
    DeliveryStatus.DELIVERED: _resent_note,
    DeliveryStatus.FAILED: lambda _: "",
    DeliveryStatus.DISMISSED: _dismissed_note,
}


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """The result of a retry. `lead`, the time `at`, and `end` make the sentence.

    Tones are success, danger, and info.
    """

    lead: str
    at: datetime
    end: str
    tone: str

    @property
    def sentence(self) -> str:
        """Return the whole sentence as plain text."""
        return f"{self.lead} {to_the_second(self.at)}{self.end}"


def is_live(delivery: DeliveryDetail) -> bool:
    """Return whether its status is likely to change while a person views the page."""
    is_behind = delivery.waits_for is WaitsFor.ORDER
    if delivery.comes_to_rest or delivery.waits_for_start or is_behind:
        return False
    is_soon = delivery.next_try_at - delivery.now < SOON
    return delivery.is_being_sent or (delivery.is_waiting and is_soon)


def outcome_of(delivery: DeliveryDetail) -> RetryOutcome | None:
    """Describe the result of the last attempt, if that was a manual retry and has ended."""
    last = delivery.last_attempt
    if delivery.is_manual or last is None or last.kind != AttemptKind.MANUAL:
        return None
    by = f" by {last.actor}" if last.actor else ""
    if last.is_delivered:
        return RetryOutcome(f"Delivered on a retry{by} at", last.ended_at, ".", "success")
    words = title(last.failed_for, last.code)
    end = f": {words[:1].lower()}{words[1:]}."
    return RetryOutcome(f"Retried{by} at", last.started_at, end, "danger")


def under_way(delivery: DeliveryDetail) -> RetryOutcome | None:
    """Describe an unfinished manual retry, with its start and the reason it waits."""
    if not delivery.is_manual:
        return None
    if delivery.is_being_sent:
        since = delivery.attempts[-1].started_at if delivery.attempts else delivery.due_at
        return RetryOutcome("Sending since", since, ".", "info")
    why = outlook_of(delivery, to_the_second).why
    return RetryOutcome("Queued since", delivery.due_at, f". {why}".rstrip(), "info")


def repeat_warning(delivery: DeliveryDetail) -> str:
    """Return a warning if the receiver has or might have the delivery more than once."""
    arrived = len(delivery.arrivals)
    if arrived > 1:
        return f"Delivered {arrived} times."
    for attempt in delivery.attempts:
        if attempt.phases.get("again") is not None:
            return f"It might have arrived twice. We sent attempt {attempt.number} twice."
    unclear = list(_unclear(delivery.attempts))
    if arrived + len(unclear) < 2:
        return ""
    number, why = unclear[0].number, title(unclear[0].failed_for).lower()
    ended = f"Attempt {number} ended without a response ({why})"
    return f"It might have arrived more than once. {ended}."


def _unclear(attempts: Sequence[AttemptDetail]) -> Iterator[AttemptDetail]:
    for attempt in attempts:
        has_failed = not (attempt.is_delivered or attempt.is_being_sent)
        if has_failed and attempt.failed_for in UNCLEAR:
            yield attempt
