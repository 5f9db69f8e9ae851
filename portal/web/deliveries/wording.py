"""Sentences about one delivery: how it is, why, what comes next, what its owner is told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from portal.engine.answer_words import speaks_of_error
from portal.engine.circuit_breaker import has_asked
from portal.engine.events.catalogue import event_type
from portal.engine.http.address_guard import host_of
from portal.engine.next_steps import ASK, EDIT, SWITCH, SYSTEM, step_after
from portal.engine.reasons import UNCLEAR, Explanation, Reason, Side, explain, title
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.durations import in_words, is_now
from portal.models.deliveries import DeliveryStatus
from portal.services.core.unit_of_work import session
from portal.services.deliveries.answers import earlier_reasons
from portal.services.deliveries.detail import (
    AttemptDetail,
    Delay,
    DeliveryDetail,
    find_delay,
    find_delivery,
)
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.retry import why_not_retry
from portal.services.operations.retention import held_until
from portal.services.outbox.claimable import WaitsFor
from portal.web.frame.access import can
from portal.web.frame.site_state import sending_stop
from portal.web.frame.wording import (
    day_of,
    moment,
    near_time,
    offline_sentence,
    plural,
    stop_sentence,
    to_the_second,
    zone,
)
from portal.web.help.advice import (
    Advice,
    Context,
    Link,
    advice_after,
    advise,
    contact,
    webhook_links,
)

# A retry this near is worth waiting for on the page.
SOON: Final = timedelta(seconds=15)
NO_RETRY: Final = "None left"
NO_RETRY_DELETED: Final = "None, because the webhook was deleted"
ONCE_ON: Final = "Only once the webhook is on"
ONCE_STARTED: Final = "Once sending is started again"
ONE_FIRST: Final = "one delivery is tried, and the others go once it arrives"
DELAYS: Final = {
    Delay.NO_WORKER: "no worker is running, so nothing is sent",
    Delay.PLACES: "this webhook is being sent as many as it gets at once",
    Delay.TURN: "other deliveries go first",
}


def event_name(event: str) -> str:
    """Return the plain name of an event."""
    return event_type(event).name


def held_end(created_at: datetime, off_at: datetime | None) -> str:
    """Say "Expires Dec 24" of what is on hold, as `held_until` takes it."""
    return f"Expires {day_of(held_until(created_at, off_at))}"


def tries(made: int) -> str:
    """Say "2 of 10": the scheduled tries that were made."""
    return f"{made} of {len(settings().webhook_retry_schedule)}"


def took(milliseconds: int | None) -> str:
    """Return how long the last attempt took."""
    return "" if milliseconds is None else in_words(milliseconds / 1000)


def repeat_warning(delivery: DeliveryDetail) -> str:
    """Return what to know where the receiver has the message more than once, or may have."""
    arrived = [attempt for attempt in delivery.attempts if attempt.is_delivered]
    unclear = list(_unclear(delivery.attempts))
    if len(arrived) > 1:
        return f"It has arrived {len(arrived)} times."
    for attempt in delivery.attempts:
        if attempt.phases.get("again") is not None:
            return f"It may have arrived more than once: attempt {attempt.number} went out twice."
    if len(arrived) + len(unclear) < 2:
        return ""
    first = unclear[0]
    why = title(first.failed_for).lower()
    return f"It may have arrived more than once: after attempt {first.number} nobody knows ({why})."


def held_sentence(delivery: DeliveryDetail) -> str:
    """Return why a delivery is on hold, and until when."""
    name, end = delivery.webhook_name, held_end(delivery.created_at, delivery.webhook_off_at)
    if delivery.is_webhook_off:
        return f"On hold because “{name}” is off. {end}."
    return f"Still on hold, although “{name}” is on. {end}."


def _unclear(attempts: Sequence[AttemptDetail]) -> Iterator[AttemptDetail]:
    for attempt in attempts:
        has_failed = not (attempt.is_delivered or attempt.is_being_sent)
        if has_failed and attempt.failed_for in UNCLEAR:
            yield attempt


def sentence_of(delivery: DeliveryDetail, *, is_taken: bool = False) -> str:
    """Return how it stands, in one sentence or two. `is_taken`: it is in a bulk retry now."""
    if delivery.comes_to_rest:
        is_gone = delivery.is_webhook_deleted
        return f"Its webhook {'was deleted' if is_gone else 'is off'}, so it is not sent."
    if delivery.stop and delivery.waits_for_start:
        return f"{stop_sentence(delivery.stop)} This goes out once it is started again."
    if delivery.offline and delivery.waits_for_connection:
        return f"{offline_sentence(delivery.offline)} It goes out once it can."
    if delivery.is_being_sent:
        host = host_of(delivery.webhook_url) or "the receiver"
        return f"It is being sent to {host} now."
    if delivery.waits_for:
        return _kept(delivery)
    if is_taken and delivery.status is DeliveryStatus.FAILED:
        return f"Not delivered after {_attempts_made(delivery)}."
    return STATUSES[delivery.status].sentence(delivery)


def _queued(delivery: DeliveryDetail) -> str:
    return f"{_asked(delivery)}It is about to be sent."


def _retrying(delivery: DeliveryDetail) -> str:
    if delivery.is_manual:
        return _queued(delivery)
    return f"Not delivered yet: {_made(delivery)} Next attempt: {next_attempt(delivery)}."


def _dismissed(delivery: DeliveryDetail) -> str:
    who, at = delivery.dismissed_by, delivery.dismissed_at
    return f"{dismissed_by(who, at, delivery.dismissed_reason)}."


def dismissed_by(who: str | None, at: datetime | None, reason: str | None) -> str:
    """Say "Sam Okoro dismissed this Nov 27, 14:06: Test data"."""
    whose = f"{who} dismissed this" if who else "Dismissed"
    when = f" {moment(at).text}" if at else ""
    return f"{whose}{when}{f': {reason}' if reason else ''}"


def _asked(delivery: DeliveryDetail) -> str:
    is_retry = bool(delivery.requested_by and delivery.is_manual)
    return f"{delivery.requested_by} pressed Retry. " if is_retry else ""


def _kept(delivery: DeliveryDetail) -> str:
    if delivery.waits_for is WaitsFor.ORDER:
        return "An older delivery goes first: this webhook gets one at a time, in order."
    if delivery.is_manual:
        # Planned attempts may be over: this one is apart from them.
        retried = "" if delivery.may_go_later else f" Retried: {next_attempt(delivery)}."
        return f"{_asked(delivery)}{backing_off(delivery)}{retried}"
    made = f" {_made(delivery)}" if delivery.tries else ""
    if delivery.may_go_later:
        return f"{backing_off(delivery)}{made}"
    label = "First attempt" if delivery.is_untried else "Next attempt"
    return f"{backing_off(delivery)}{made} {label}: {next_attempt(delivery)}."


def _made(delivery: DeliveryDetail) -> str:
    """Say "4 of 10 attempts made, and 1 Retry.": a person's count apart."""
    retries = _retries(delivery)
    return f"{tries(delivery.tries)} attempts made{f', and {retries}' if retries else ''}."


def _retries(delivery: DeliveryDetail) -> str:
    by_people = sum(attempt.kind == AttemptKind.MANUAL for attempt in delivery.attempts)
    return plural(by_people, "Retry", "Retries") if by_people else ""


def _delivered(delivery: DeliveryDetail) -> str:
    arrived = [attempt for attempt in delivery.attempts if attempt.is_delivered]
    if not arrived:
        return "It has arrived."
    last = arrived[-1]
    when = moment(last.ended_at).text
    total = took(round(last.phases["total"])) if last.phases.get("total") else ""
    return f"{host_of(last.url)} answered {last.code}{f' in {total}' if total else ''}, {when}."


def _failed(delivery: DeliveryDetail) -> str:
    if delivery.is_test:
        how = "was not accepted" if delivery.code else "did not arrive"
        return f"The test {how}. Nothing else is affected by it."
    then = " Fix the cause, then Retry." if may_retry(delivery) else ""
    made = _attempts_made(delivery)
    return f"Not delivered after {made}, and not retried automatically.{then}"


def may_retry(delivery: DeliveryDetail) -> bool:
    """Return whether its page has a Retry that would be taken."""
    return can("deliveries.retry") and why_not_retry(delivery.eligibility, again=True) is None


def _attempts_made(delivery: DeliveryDetail) -> str:
    return " and ".join(filter(None, (plural(delivery.tries, "attempt"), _retries(delivery))))


def _open_note(row: LogRow) -> str:
    """Return what an open one waits for, or which attempt failed last."""
    if row.next_try_at is None:
        return kept_words(row)
    return kept_words(row) or attempts_words(row) or "Next"


def attempts_words(row: LogRow) -> str:
    """Say "Attempt 4 of 10" while it is retried automatically, "10 attempts" of what has failed."""
    if not row.tries or row.is_test:
        return ""
    if row.status is DeliveryStatus.FAILED:
        return plural(row.tries, "attempt")
    is_usual = row.status is DeliveryStatus.RETRYING and not row.is_manual
    return f"Attempt {tries(row.tries)}" if is_usual else ""


def kept_words(row: LogRow) -> str:
    """Return what keeps an open one from its next attempt, or that it is being sent; else blank."""
    if row.is_being_sent:
        return "Sending now"
    if row.waits_for is WaitsFor.ORDER:
        return "After an older delivery"
    if row.next_try_at is None:  # its webhook is off or deleted
        return ""
    if sending_stop():
        return "When sending resumes"
    match row.waits_for:
        case WaitsFor.RECEIVER:
            at = near_time(row.next_try_at)
            if has_asked(row.next_try_at, utcnow()):
                return f"The receiver asked us to wait until {at}"
            return f"When the receiver is back (from {at})"
        case WaitsFor.CONNECTION:
            return "When this server can connect again"
        case WaitsFor.PLACES:
            return f"Webhook is at its limit of {row.most}"
    return ""


def _resent_note(row: LogRow) -> str:
    if row.resent is None:
        return ""
    reason, code = row.resent
    return f"Resend failed: {title(Reason(reason), code)}"


def _no_note(_: LogRow) -> str:
    return ""


def _dismissed_note(row: LogRow) -> str:
    """Say "Sam Okoro, Nov 27, 14:06: Test data"."""
    when = near_time(row.dismissed_at) if row.dismissed_at else ""
    who = ", ".join(filter(None, (row.dismissed_by, when)))
    return ": ".join(filter(None, (who, row.dismissed_reason)))


class StatusWords(NamedTuple):
    """What is said of a delivery in a status: on its own page, and beside the status in a list.

    How the status is called and looks: `DELIVERY` in `frame/status_tags.py`.
    """

    sentence: Callable[[DeliveryDetail], str]
    note: Callable[[LogRow], str] = _no_note


STATUSES: Final[Mapping[DeliveryStatus, StatusWords]] = {
    DeliveryStatus.QUEUED: StatusWords(_queued, _open_note),
    DeliveryStatus.RETRYING: StatusWords(_retrying, _open_note),
    DeliveryStatus.ON_HOLD: StatusWords(
        held_sentence, lambda row: held_end(row.created_at, row.webhook_off_at)
    ),
    DeliveryStatus.DELIVERED: StatusWords(_delivered, _resent_note),
    DeliveryStatus.FAILED: StatusWords(_failed),
    DeliveryStatus.DISMISSED: StatusWords(_dismissed, _dismissed_note),
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
    """Return whether its status is likely to change while a person looks."""
    is_behind = delivery.waits_for is WaitsFor.ORDER
    if delivery.comes_to_rest or delivery.waits_for_start or is_behind:
        return False
    is_soon = delivery.next_try_at - delivery.now < SOON
    return delivery.is_being_sent or (delivery.is_waiting and is_soon)


def delay_of(delivery: DeliveryDetail) -> str:
    """Return why it has not gone yet though it is long due; empty where it is not."""
    delay = find_delay(delivery)
    return DELAYS[delay] if delay else ""


def outcome_of(delivery: DeliveryDetail) -> RetryOutcome | None:
    """Describe what came of the last attempt, if that was a Retry and has ended."""
    last = delivery.last_attempt
    if delivery.is_manual or last is None or last.kind != AttemptKind.MANUAL:
        return None
    if last.is_delivered:
        return RetryOutcome("Arrived at", last.ended_at, ".", "success")
    words = title(last.failed_for, last.code)
    end = f"{f' by {last.actor}' if last.actor else ''}: {words[:1].lower()}{words[1:]}."
    return RetryOutcome("Attempted again at", last.started_at, end, "danger")


def under_way(delivery: DeliveryDetail) -> RetryOutcome | None:
    """Describe a Retry that has not ended: when it was asked for, and what it waits for."""
    if not delivery.is_manual:
        return None
    if delivery.is_being_sent:
        since = delivery.attempts[-1].started_at if delivery.attempts else delivery.due_at
        return RetryOutcome("Being sent since", since, ".", "info")
    return RetryOutcome("Waiting to be sent since", delivery.due_at, _why_waiting(delivery), "info")


def earlier_of(delivery: DeliveryDetail) -> str:
    """Return why it failed again and again before a Retry failed for another reason; else empty."""
    earlier = earlier_reasons(session(), [delivery.row_id]).get(delivery.row_id)
    if not earlier:
        return ""
    return f"Before the last retry: {earlier.words}, {plural(earlier.count, 'time')}."


def again_of(delivery: DeliveryDetail) -> str:
    """Return when it is retried automatically, or why it is not."""
    if delivery.comes_to_rest:
        return NO_RETRY_DELETED if delivery.is_webhook_deleted else ONCE_ON
    if delivery.waits_for_start:
        return ONCE_STARTED
    if delivery.is_being_sent:
        return "Now"
    if delivery.waits_for is WaitsFor.ORDER:
        return "Once the older ones have arrived"
    if delivery.may_go_later:
        return f"Not before {near_time(delivery.next_try_at)}"
    if delivery.waits_for:
        return _capital(f"{next_attempt(delivery)}, or soon after")
    if delivery.is_waiting:
        return _capital(next_attempt(delivery))
    return _no_retry(delivery)


def _no_retry(delivery: DeliveryDetail) -> str:
    """Return why none is planned: the attempts may have been spent, or not."""
    match delivery.status:
        case DeliveryStatus.ON_HOLD if delivery.is_webhook_off:
            return ONCE_ON
        case DeliveryStatus.ON_HOLD:
            return "Once it’s sent from the webhook’s page"
        case DeliveryStatus.DELIVERED:
            return "None, because it was delivered"
        case DeliveryStatus.DISMISSED:
            return "None, because it was dismissed"
    is_spent = delivery.tries >= len(settings().webhook_retry_schedule)
    return (
        NO_RETRY if is_spent or delivery.is_test else "None, because automatic retries have ended"
    )


def again_label(delivery: DeliveryDetail) -> str:
    """Return what `again_of` is the time of."""
    return "First attempt" if delivery.is_untried else "Next automatic retry"


def backing_off(delivery: DeliveryDetail) -> str:
    """Say why its receiver gets nothing for a while, and what is tried first then."""
    if delivery.may_go_later:
        asked = delivery.has_asked
        why = "asked us to wait" if asked else "isn't responding and is left alone"
        until = near_time(delivery.next_try_at)
        return f"The receiver {why} until {until}; then {ONE_FIRST}."
    if delivery.has_asked:
        until = near_time(delivery.next_try_at)
        return f"The receiver asked us to wait until {until}, so we pause before the next attempt."
    return "The receiver isn't responding, so we pause before the next attempt."


def next_attempt(delivery: DeliveryDetail) -> str:
    """Return when the next attempt is due: "now", "in 4 minutes", or the time."""
    at = delivery.next_try_at
    return "now" if is_now(at, delivery.now) else moment(at, delivery.now).text


def _why_waiting(delivery: DeliveryDetail) -> str:
    if delivery.comes_to_rest:
        is_gone = delivery.is_webhook_deleted
        return f": its webhook {'was deleted' if is_gone else 'is off'}."
    if delivery.waits_for_start:
        return ": all sending is stopped."
    if delivery.waits_for is WaitsFor.RECEIVER:
        until = to_the_second(delivery.next_try_at)
        if delivery.has_asked:
            return f": the receiver asked us to wait until {until}."
        return f": the receiver isn't responding and is left alone until {until}."
    why = delay_of(delivery)
    return f": {why}." if why else "."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def explanation_of(delivery: DeliveryDetail) -> Explanation | None:
    """Return why the last attempt failed, or why there was none; None when all is well."""
    reason = _reason(delivery)
    return _explained(delivery, reason) if reason else None


def advice_of(delivery: DeliveryDetail, *, is_draft: bool = False) -> Advice | None:
    """Return what the reader may do about it, or whom to ask; None when all is well.

    `is_draft`: a test before saving, whose form is no webhook that could be edited.
    """
    reason = _reason(delivery)
    if reason is None or delivery.is_webhook_deleted:  # then nothing would be sent
        return None
    explained = _explained(delivery, reason)
    return advice_after(
        reason,
        explained,
        _context(delivery, explained.what_happened),
        {} if is_draft else _links(delivery),
        reference=str(delivery.public_id),
    )


def advice_while_off(delivery: DeliveryDetail) -> Advice | None:
    """Return what lets it go out while its webhook is off; None where that would not help."""
    is_over = delivery.status is DeliveryStatus.DELIVERED
    has_no_use = delivery.is_test or delivery.is_webhook_deleted or is_over
    if has_no_use or not delivery.is_webhook_off:
        return None
    return advise(
        SWITCH,
        "Turn the webhook on, and choose what becomes of what is held.",
        f"{ASK} to turn the webhook on.",
        context=_context(delivery, "The webhook is off, so this is not sent."),
        link=_links(delivery).get(SWITCH),
    )


def advice_while_slow(delivery: DeliveryDetail) -> Advice:
    """Return where to look when nobody seems to send."""
    return advise(
        SYSTEM,
        "Look under System for what is running.",
        f"{ASK} to look under System for what is running.",
        context=_context(delivery, "A delivery waits for longer than usual to be sent."),
        link=_links(delivery).get(SYSTEM),
    )


def _reason(delivery: DeliveryDetail) -> Reason | None:
    last = delivery.last_attempt
    if last is None:
        return Reason(delivery.reason) if delivery.reason else None
    return None if last.is_delivered else last.failed_for


def _explained(delivery: DeliveryDetail, reason: Reason, host: str = "") -> Explanation:
    last = delivery.last_attempt
    if last is None:
        return explain(reason, host="")
    total = last.phases.get("total")
    return explain(
        reason,
        host=host or host_of(last.url),
        seconds=round(total / 1000, 1) if total else None,
        time=moment(last.started_at).exact,
        location=last.location,
        code=last.code,
        reference=str(delivery.public_id),
    )


def _context(delivery: DeliveryDetail, happened: str) -> Context:
    kept = held_end(delivery.created_at, delivery.webhook_off_at)
    return Context(
        webhook=delivery.webhook_id,
        name=delivery.webhook_name,
        happened=happened,
        held=f"This delivery. {kept}." if delivery.status is DeliveryStatus.ON_HOLD else "",
        since=delivery.created_at,
        path=f"/deliveries/{delivery.public_id}",
    )


def _links(delivery: DeliveryDetail) -> dict[str, Link]:
    """Return where the steps are done: of a webhook that was deleted only System is left."""
    links = webhook_links(delivery.webhook_id)
    is_gone = delivery.is_webhook_deleted
    return {name: link for name, link in links.items() if name == SYSTEM or not is_gone}


def for_the_caller(delivery: DeliveryDetail, taken: str = "") -> str:
    """Return what to say to whoever asks about it: what came of it and since when, that nothing is
    lost, what happens next, who must act, and its id.

    Nothing of what is about to be sent for the first time, and nothing of a test. `taken`: what
    happens next to one that is in a bulk retry now.
    """
    last, name = delivery.last_attempt, f"“{delivery.webhook_name}”"
    if delivery.is_test or (last and last.is_being_sent):
        return ""
    check = f"Ask the receiver's owner to check their log for delivery {delivery.public_id}."
    if last and last.is_delivered:
        at = _for_both(last.ended_at)
        return f"{name} has received it: it answered {last.code} at {at}. {check}"
    if delivery.status is DeliveryStatus.DELIVERED:
        return ""
    if last is None:
        sentence = _untried(delivery, name)
        return f"{sentence} The delivery is {delivery.public_id}." if sentence else ""
    reason = _reason(delivery) or Reason.INTERRUPTED
    explained = _explained(delivery, reason, host=name)
    is_theirs = explained.side is Side.RECEIVER
    # Whatever becomes of a bulk retry.
    is_retrying = delivery.status is DeliveryStatus.RETRYING and not delivery.is_manual
    goes_by_itself = is_retrying and not (delivery.waits_for or delivery.stop)
    sentences = (
        f"{explained.what_happened} The last attempt was at {_for_both(last.ended_at)}.",
        _since(delivery),
        earlier_of(delivery),
        "Nothing is lost: it is kept here.",
        taken,
        "" if taken and not goes_by_itself else _what_next(delivery),
        _who_acts(delivery, reason, explained.side),
        # What never came so far as to be answered is in nobody's log.
        check if is_theirs and last.code else f"The delivery is {delivery.public_id}.",
        "A retry has the same id." if is_theirs else "",
    )
    return " ".join(filter(None, sentences))


def _untried(delivery: DeliveryDetail, name: str) -> str:
    """Of what was never attempted."""
    kept = "This one has not been attempted yet. Nothing is lost: it is kept here."
    if delivery.waits_for is WaitsFor.ORDER:
        why = f"{name} gets its deliveries in order. {_the_first(delivery, name)}"
    elif delivery.waits_for:
        why = f"{name} asked us to wait." if delivery.has_asked else f"{name} isn't responding."
    elif delivery.status is DeliveryStatus.ON_HOLD:
        why = f"{name} is turned off."
    else:
        return ""
    return f"{why} {kept} {_what_next(delivery)}"


def _the_first(delivery: DeliveryDetail, name: str) -> str:
    """Return why the one that goes first has not arrived, and who must act."""
    first = find_delivery(delivery.ahead) if delivery.ahead else delivery
    sentence = f"The one of {_for_both(first.created_at)} goes first"
    reason = _reason(first)
    if reason is None:
        return f"{sentence}."
    explained = _explained(first, reason, host=name)
    acts = _who_acts(first, reason, explained.side)
    return f"{sentence}, and has not arrived: {explained.what_happened} {acts}"


def _what_next(delivery: DeliveryDetail) -> str:
    if delivery.stop and delivery.waits_for_start:
        return "We have stopped all sending for now. It goes out once that is started again."
    if delivery.offline and delivery.waits_for_connection:
        return f"{offline_sentence(delivery.offline)} It goes out once it can."
    if delivery.waits_for is WaitsFor.ORDER:
        return "It goes out automatically once the older ones have arrived."
    is_retrying = delivery.status is DeliveryStatus.RETRYING and not delivery.is_manual
    if delivery.is_waiting and (delivery.waits_for or is_retrying):
        at = _for_both(delivery.next_try_at)
        rest = f"not before {at}: then {ONE_FIRST}"
        when = rest if delivery.may_go_later else f"at {at} or soon after"
        return f"It is {'sent' if delivery.is_untried else 'retried'} automatically, {when}."
    if delivery.is_waiting:
        return "It is about to be sent again."
    if delivery.status is DeliveryStatus.ON_HOLD:
        until = held_end(delivery.created_at, delivery.webhook_off_at)
        if delivery.is_webhook_off:
            return f"It’s sent once the webhook is turned on. {until}."
        return f"It’s sent once someone sends it from the webhook’s page. {until}."
    if delivery.is_webhook_deleted:
        return f"It won’t be sent, because “{delivery.webhook_name}” was deleted."
    if delivery.status is DeliveryStatus.DISMISSED:
        return "It was dismissed, so it won’t be sent unless someone restores it."
    after = " after the webhook is turned on" if delivery.is_webhook_off else ""
    return f"Automatic retries have ended. It’s sent once someone retries it{after}."


def _who_acts(delivery: DeliveryDetail, reason: Reason, side: Side) -> str:
    step = step_after(reason)
    if delivery.is_webhook_deleted:
        return ""
    if reason is Reason.RATE:
        return "Nobody has to act."
    if side in (Side.RECEIVER, Side.NETWORK) and not (step and step.permission == EDIT):
        return "The receiver's owner must act."
    who = contact(step.permission if step else SYSTEM, delivery.webhook_id)
    return f"{who[:1].upper()}{who[1:]} must act."


def _since(delivery: DeliveryDetail) -> str:
    """Return since when its attempts have failed, where there was more than one."""
    failed = delivery.ended_attempts
    if len(failed) < 2 or delivery.attempts[0].number != 1:
        return ""
    return f"Its attempts have failed since {moment(failed[0].started_at).exact}."


def _for_both(at: datetime) -> str:
    """Return the time for the reader, and in UTC for whoever is elsewhere."""
    is_other = at.astimezone(zone()).utcoffset()
    utc = f", that is {at.astimezone(UTC):%H:%M:%S} UTC" if is_other else ""
    return f"{moment(at).exact}{utc}"


def is_doubtful(attempt: AttemptDetail | None) -> bool:
    """Return whether an answer that counts as a success says in its text that it is none."""
    is_success = attempt is not None and attempt.is_delivered
    return bool(is_success and attempt and speaks_of_error(attempt.response_text))
