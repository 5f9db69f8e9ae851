"""How a delivery gets on: what holds it up, what came of a Retry, when the next attempt is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from portal.engine.health import has_asked
from portal.engine.reasons import Reason, title
from portal.engine.retry_policy import AttemptKind
from portal.lib.durations import is_now
from portal.services.core.unit_of_work import session
from portal.services.deliveries.answers import earlier_reasons
from portal.services.deliveries.detail import Delay, DeliveryDetail, find_delay
from portal.services.outbox.due import PausedFor, ShownStatus
from portal.web.frame.wording import moment, near_time, plural, to_the_second

# A retry this near is worth waiting for on the page.
SOON: Final = timedelta(seconds=15)
NO_RETRY: Final = "None left"
ONCE_ON: Final = "Only once the webhook is on"
ONCE_STARTED: Final = "Once sending is started again"
ONE_FIRST: Final = "one delivery is tried, and the others go once it arrives"
DELAYS: Final = {
    Delay.NO_WORKER: "no worker is running, so nothing is sent",
    Delay.PLACES: "this webhook is being sent as many as it gets at once",
    Delay.TURN: "our side is working, and others go first",
}


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """`lead`, the time `at` and `end` make the sentence. Tones: success, danger, info."""

    lead: str
    at: datetime
    end: str
    tone: str

    @property
    def sentence(self) -> str:
        """All of it as plain text."""
        return f"{self.lead} {to_the_second(self.at)}{self.end}"


def is_live(delivery: DeliveryDetail) -> bool:
    """Whether its status is likely to change while a person looks."""
    is_behind = delivery.paused_for is PausedFor.ORDER
    if delivery.comes_to_rest or delivery.waits_for_start or is_behind:
        return False
    if delivery.status in (ShownStatus.RETRYING, ShownStatus.PAUSED):
        return delivery.next_try_at - delivery.now < SOON
    return delivery.status in (ShownStatus.WAITING, ShownStatus.SENDING)


def delay_of(delivery: DeliveryDetail) -> str:
    """Why it has not gone yet though it is long due; empty where it is not."""
    delay = find_delay(delivery)
    return DELAYS[delay] if delay else ""


def outcome_of(delivery: DeliveryDetail) -> RetryOutcome | None:
    """What came of the Retry, by its attempt; None while it is under way, and where the last
    attempt was none."""
    last = delivery.last_attempt
    if delivery.is_manual or last is None or last.kind != AttemptKind.MANUAL:
        return None
    if last.is_delivered:
        return RetryOutcome("Arrived at", last.finished_at or last.started_at, ".", "success")
    words = title(Reason(last.reason) if last.reason else Reason.INTERRUPTED, last.code)
    end = f"{f' by {last.actor}' if last.actor else ''}: {words[:1].lower()}{words[1:]}."
    return RetryOutcome("Attempted again at", last.started_at, end, "danger")


def under_way(delivery: DeliveryDetail) -> RetryOutcome | None:
    """How a Retry that has not ended stands: when it was asked for, and what it waits for."""
    if not delivery.is_manual:
        return None
    if delivery.status is ShownStatus.SENDING:
        since = delivery.attempts[-1].started_at if delivery.attempts else delivery.due_at
        return RetryOutcome("Being sent since", since, ".", "info")
    return RetryOutcome("Waiting to be sent since", delivery.due_at, _why_waiting(delivery), "info")


def earlier_of(delivery: DeliveryDetail) -> str:
    """Why it failed again and again before a Retry failed for another reason; else empty."""
    found = earlier_reasons(session(), [delivery.row_id]).get(delivery.row_id)
    if not found:
        return ""
    return f"Before the last retry: {found.words}, {plural(found.count, 'time')}."


def again_of(delivery: DeliveryDetail) -> str:
    """When it is retried automatically, or why it is not."""
    if delivery.comes_to_rest:
        is_gone = delivery.is_webhook_deleted
        return NO_RETRY if is_gone else ONCE_ON
    if delivery.waits_for_start:
        return ONCE_STARTED
    match delivery.status:
        case ShownStatus.RETRYING:
            return _capital(next_attempt(delivery))
        case ShownStatus.PAUSED if delivery.waits_behind:
            return "Once the older ones have arrived"
        case ShownStatus.PAUSED if delivery.may_go_later:
            return f"Not before {near_time(delivery.next_try_at)}"
        case ShownStatus.PAUSED:
            return _capital(f"{next_attempt(delivery)}, or soon after")
        case ShownStatus.WAITING | ShownStatus.SENDING:
            return "Now"
        case ShownStatus.HELD if delivery.is_webhook_off:
            return ONCE_ON
        case _:
            return NO_RETRY


def again_label(delivery: DeliveryDetail) -> str:
    """What `again_of` is the time of."""
    return "First attempt" if delivery.is_untried else "Next automatic retry"


def left_alone(delivery: DeliveryDetail) -> str:
    """Why its receiver gets nothing for a while, and that another one may be tried first then."""
    if delivery.may_go_later:
        asked = has_asked(delivery.next_try_at, delivery.now)
        why = "asked us to wait" if asked else "isn't responding and is left alone"
        until = near_time(delivery.next_try_at)
        return f"The receiver {why} until {until}; then {ONE_FIRST}."
    if has_asked(delivery.next_try_at, delivery.now):
        until = near_time(delivery.next_try_at)
        return f"The receiver asked us to wait until {until}, so we pause before the next attempt."
    return "The receiver isn't responding, so we pause before the next attempt."


def next_attempt(delivery: DeliveryDetail) -> str:
    """When the next attempt is due: "now", "in 4 minutes", or the time."""
    at = delivery.next_try_at
    return "now" if is_now(at, delivery.now) else moment(at, delivery.now).text


def _why_waiting(delivery: DeliveryDetail) -> str:
    if delivery.comes_to_rest:
        is_gone = delivery.is_webhook_deleted
        return f": its webhook {'was deleted' if is_gone else 'is off'}."
    if delivery.waits_for_start:
        return ": all sending is stopped."
    if delivery.paused_for is PausedFor.RECEIVER:
        until = to_the_second(delivery.next_try_at)
        if has_asked(delivery.next_try_at, delivery.now):
            return f": the receiver asked us to wait until {until}."
        return f": the receiver isn't responding and is left alone until {until}."
    why = delay_of(delivery)
    return f": {why}." if why else "."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
