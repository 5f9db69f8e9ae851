"""The timeline of a delivery: happened, stored, each attempt with its phases, what comes next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from portal.engine.http.address_guard import host_of
from portal.engine.reasons import Reason, explain, title
from portal.lib.durations import in_words
from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail
from portal.services.outbox.claimable import WaitsFor
from portal.web.deliveries.wording import event_name, held_end
from portal.web.frame.wording import day_of, offline_sentence

PHASES: Final = {
    "again": "sent once more, because the connection kept open had ended,",
    "name": "name found",
    "connect": "connected",
    "tls": "connection secure",
    "first_byte": "first byte of the answer",
    "total": "finished",
}


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """One point of the timeline. Tones: success, danger, warning, info or none."""

    title: str
    at: datetime | None
    tone: str = ""
    text: str = ""
    phases: str = ""
    attempt: AttemptDetail | None = None
    took: str = ""
    side: str = ""


def steps_of(delivery: DeliveryDetail) -> list[DeliveryStep]:
    """From what happened to what comes next."""
    what = event_name(delivery.event)
    asset = " ".join(filter(None, (delivery.asset_tag, delivery.asset_name)))
    sample = "A person pressed Test webhook" if delivery.is_test else what
    safe = "" if delivery.attempts else "From here on it cannot be lost."
    return [
        DeliveryStep(
            "Happened", delivery.occurred_at, text=": ".join(filter(None, (sample, asset)))
        ),
        DeliveryStep("Stored", delivery.created_at, text=safe),
        *_picked_up(delivery),
        *(attempt_step(attempt) for attempt in delivery.attempts),
        *_last(delivery),
    ]


def _picked_up(delivery: DeliveryDetail) -> Iterator[DeliveryStep]:
    """Yield when a worker took it first; unknown where the first attempt is no longer shown."""
    if delivery.attempts and delivery.attempts[0].number == 1:
        at = delivery.attempts[0].started_at
        waited = (at - delivery.created_at).total_seconds()
        yield DeliveryStep("Picked up", at, text=f"It had waited here for {in_words(waited)}.")


def attempt_step(attempt: AttemptDetail) -> DeliveryStep:
    """One attempt in a line, and its phases in another."""
    tone, words = _ending(attempt)
    total = attempt.phases.get("total")
    has_no_side = attempt.is_being_sent or attempt.is_delivered
    return DeliveryStep(
        who(attempt),
        attempt.started_at,
        tone,
        words,
        phases_in_words(attempt.phases),
        attempt,
        took="" if total is None else in_words(total / 1000),
        side="" if has_no_side else explain(attempt.failed_for, host="").side.label,
    )


def phases_in_words(phases: dict[str, Any]) -> str:
    """Say when each phase was over, counted from the start; not of a phase without a time."""
    known = [(words, phases.get(key)) for key, words in PHASES.items()]
    return ", ".join(
        f"{words} after {in_words(at / 1000)}" for words, at in known if at is not None
    )


def who(attempt: AttemptDetail) -> str:
    """Return what the timeline calls an attempt."""
    match attempt.kind:
        case "manual":
            return f"Retry by {attempt.actor}" if attempt.actor else "Retry"
        case "test":
            return "Test"
        case _:
            return f"Attempt {attempt.number}"


def _ending(attempt: AttemptDetail) -> tuple[str, str]:
    if attempt.is_being_sent:
        return "info", "Being sent now."
    if attempt.is_delivered:
        return "success", f"Delivered. The receiver answered {attempt.code}."
    words = f"{title(attempt.failed_for, attempt.code)}."
    return ("warning" if attempt.is_interrupted else "danger"), words


def _last(delivery: DeliveryDetail) -> Iterator[DeliveryStep]:
    if delivery.stop and delivery.waits_for_start:
        yield DeliveryStep("Waiting", None, "warning", "All sending is stopped.")
        return
    if delivery.offline and delivery.waits_for_connection:
        yield DeliveryStep("Waiting", None, "warning", offline_sentence(delivery.offline))
        return
    if delivery.waits_for is WaitsFor.ORDER:
        yield DeliveryStep("Waiting", None, "warning", "An older delivery goes first.")
    elif delivery.waits_for:
        asked = delivery.has_asked
        why = "The receiver asked us to wait." if asked else "The receiver isn't responding."
        label = "First attempt" if delivery.is_untried else "Next attempt"
        earliest = " not before" if delivery.may_go_later else ""
        yield DeliveryStep(f"{label}{earliest}", delivery.next_try_at, "warning", why)
    elif delivery.is_waiting:
        is_retrying = delivery.status is DeliveryStatus.RETRYING and not delivery.is_manual
        if is_retrying:
            yield DeliveryStep("Next attempt", delivery.next_try_at, "warning")
        else:
            yield DeliveryStep("Waiting to be sent", delivery.due_at, "info")
    match delivery.status:
        case DeliveryStatus.ON_HOLD:
            until = held_end(delivery.created_at, delivery.webhook_off_at)
            why = "Its webhook is off. " if delivery.is_webhook_off else ""
            yield DeliveryStep("On hold", None, text=f"{why}{until}.")
        case DeliveryStatus.DISMISSED:
            by = f" by {delivery.dismissed_by}" if delivery.dismissed_by else ""
            reason = delivery.dismissed_reason or ""
            yield DeliveryStep(f"Dismissed{by}", delivery.dismissed_at, text=reason)
        case _:
            return


class State(StrEnum):
    """States of a step. `noted`: done, with something to know; `later`: not reached."""

    DONE = "done"
    NOTED = "noted"
    FAILED = "failed"
    NOW = "now"
    LATER = "later"


class Words(NamedTuple):
    """A step's title before, after, and when it ended the test."""

    ahead: str
    done: str
    failed: str


@dataclass(frozen=True, slots=True)
class TestStep:
    """One line: what, how it went, and after how long, counted from the start of the attempt."""

    __test__ = False  # not a test case, whatever its name says

    title: str
    state: State
    text: str = ""
    after: str = ""


WORDS: Final = {
    "picked": Words("Waiting for the sending service", "Picked up", "Could not be put together"),
    "name": Words("Find the server's name", "Name found", "Name not found"),
    "connect": Words("Connect to the server", "Connected", "Not connected"),
    "tls": Words("Make the connection secure", "Connection is secure", "No secure connection"),
    "answer": Words("Wait for the answer", "Answered", "Not answered"),
}
STEPS: Final = tuple(WORDS)
# Which step a reason ends; every other one comes with the answer, or for want of it.
_ENDS: Final = {
    Reason.BAD_HEADERS: "picked",
    Reason.INTERNAL: "picked",
    Reason.DNS: "name",
    Reason.BLOCKED: "connect",
    Reason.REFUSED: "connect",
    Reason.CONNECT_TIMEOUT: "connect",
    Reason.UNREACHABLE: "connect",
    Reason.TLS_EXPIRED: "tls",
    Reason.TLS_UNTRUSTED: "tls",
    Reason.TLS_NAME: "tls",
    Reason.TLS_OTHER: "tls",
}
NOT_REACHED: Final = "Not reached."
IN_THE_CLEAR: Final = (
    "Not encrypted: the address begins with http://, so anyone on the way can read the delivery."
)


def steps_of_test(delivery: DeliveryDetail) -> list[TestStep]:
    """Return the steps of a test's newest attempt; a delivery that is no test has none."""
    if not delivery.is_test:
        return []
    attempt = delivery.attempts[-1] if delivery.attempts else None
    if attempt is None or attempt.is_being_sent:
        return list(_under_way(delivery, attempt))
    return list(_ended(delivery, attempt))


def _under_way(delivery: DeliveryDetail, attempt: AttemptDetail | None) -> Iterator[TestStep]:
    """Nothing of a request can be known before it has ended."""
    if attempt is None:
        is_over = not (delivery.is_waiting or delivery.is_being_sent)
        state = State.LATER if is_over else State.NOW
        yield TestStep(WORDS["picked"].ahead, state)
    else:
        yield _test_picked_up(delivery, attempt)
    for name in _ahead(attempt.url if attempt else delivery.webhook_url, STEPS[1:]):
        state = State.NOW if attempt and name == "name" else State.LATER
        yield TestStep(WORDS[name].ahead, state)


def _ended(delivery: DeliveryDetail, attempt: AttemptDetail) -> Iterator[TestStep]:
    end = _end_of(attempt)
    reached = STEPS.index(end) + 1
    for name in STEPS[:reached]:
        if name == end and not attempt.is_delivered:
            yield _failed(name, attempt)
        elif name == "picked":
            yield _test_picked_up(delivery, attempt)
        else:
            yield _done(name, attempt)
    for name in _ahead(attempt.url, STEPS[reached:]):
        yield TestStep(WORDS[name].ahead, State.LATER, NOT_REACHED)


def _ahead(url: str, names: Sequence[str]) -> Iterator[str]:
    """Yield those of the steps that this address would come to."""
    return (name for name in names if name != "tls" or _is_secure(url))


def _end_of(attempt: AttemptDetail) -> str:
    if attempt.is_delivered or attempt.reason is None:
        return "answer"
    return _ENDS.get(Reason(attempt.reason), "answer")


def _test_picked_up(delivery: DeliveryDetail, attempt: AttemptDetail) -> TestStep:
    waited = (attempt.started_at - delivery.created_at).total_seconds()
    return TestStep(WORDS["picked"].done, State.DONE, f"It waited here for {in_words(waited)}.")


def _done(name: str, attempt: AttemptDetail) -> TestStep:
    if name == "tls" and not _is_secure(attempt.url):
        return TestStep("No certificate", State.NOTED, IN_THE_CLEAR)
    if name == "answer":
        return TestStep(f"Answered {attempt.code} in {_total(attempt)}", State.DONE)
    title_of, text = WORDS[name].done, ""
    if name == "name":
        text = host_of(attempt.url)
        if _is_number(text):
            return TestStep("No name to find", State.DONE, f"The address is a number: {text}")
    elif name == "connect":
        text = f"To {attempt.peer}" if attempt.peer else ""
    elif attempt.certificate_ends_at:
        title_of = f"Certificate good until {_day(attempt)}"
    return TestStep(title_of, State.DONE, text, _after(attempt, name))


def _failed(name: str, attempt: AttemptDetail) -> TestStep:
    why = f"{title(attempt.failed_for)}."
    if name == "answer" and attempt.code:
        return TestStep(f"Answered {attempt.code} in {_total(attempt)}", State.FAILED, why)
    return TestStep(WORDS[name].failed, State.FAILED, why, _total(attempt))


def _after(attempt: AttemptDetail, name: str) -> str:
    at = attempt.phases.get(name)
    return in_words(at / 1000) if at else ""


def _total(attempt: AttemptDetail) -> str:
    return _after(attempt, "total")


def _day(attempt: AttemptDetail) -> str:
    ends_at = attempt.certificate_ends_at
    return day_of(ends_at)


def _is_secure(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
