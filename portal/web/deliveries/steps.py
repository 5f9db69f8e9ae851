"""The attempts of a delivery as rows, and a test's attempt step by step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from portal.engine.http.address_guard import host_of
from portal.engine.reasons import Reason, explain, title
from portal.lib.durations import in_words
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail
from portal.web.frame.wording import day_of

PHASES: Final = {
    "again": "sent again on a new connection",
    "name": "name found",
    "connect": "connected",
    "tls": "connection secure",
    "first_byte": "first byte of the response",
    "total": "finished",
}


class AttemptRow(NamedTuple):
    """One attempt in a line. Tones: success, danger, warning, info. `side`: where its cause is."""

    attempt: AttemptDetail
    who: str
    tone: str
    result: str
    side: str
    took: str

    @property
    def phases(self) -> str:
        """Say when each of its phases was over."""
        return phases_in_words(self.attempt.phases)


def attempt_row(attempt: AttemptDetail) -> AttemptRow:
    """Say who made it, and how it ended."""
    tone, result = result_of(attempt)
    total = attempt.phases.get("total")
    has_failed = not (attempt.is_being_sent or attempt.is_delivered)
    return AttemptRow(
        attempt,
        who(attempt),
        tone,
        result,
        explain(attempt.failed_for, host="").side.label if has_failed else "",
        "" if total is None else in_words(total / 1000),
    )


def phases_in_words(phases: dict[str, Any]) -> str:
    """Say when each phase was over, counted from the start; not of a phase without a time."""
    known = [(words, phases.get(key)) for key, words in PHASES.items()]
    return ", ".join(
        f"{words} after {in_words(at / 1000)}" for words, at in known if at is not None
    )


def who(attempt: AttemptDetail) -> str:
    """Return what an attempt is called: by its number, or by who made it."""
    match attempt.kind:
        case "manual":
            return f"Retry by {attempt.actor}" if attempt.actor else "Retry"
        case "test":
            return "Test"
        case _:
            return f"Attempt {attempt.number}"


def result_of(attempt: AttemptDetail) -> tuple[str, str]:
    """Return how an attempt ended: tone and words."""
    if attempt.is_being_sent:
        return "info", "Sending now"
    if attempt.is_delivered:
        return "success", f"Delivered ({attempt.code})"
    return "warning" if attempt.is_interrupted else "danger", title(
        attempt.failed_for, attempt.code
    )


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
    "picked": Words("Waiting for a delivery worker", "Picked up", "Couldn’t build the request"),
    "name": Words("Find the server", "Server found", "Server not found"),
    "connect": Words("Connect to the server", "Connected", "Not connected"),
    "tls": Words("Secure the connection", "Connection is secure", "No secure connection"),
    "answer": Words("Wait for the response", "Responded", "No response"),
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
    "Not encrypted. The URL starts with http://, so others on the network can read it."
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
    return TestStep(WORDS["picked"].done, State.DONE, f"Waited {in_words(waited)} in the queue.")


def _done(name: str, attempt: AttemptDetail) -> TestStep:
    if name == "tls" and not _is_secure(attempt.url):
        return TestStep("No certificate", State.NOTED, IN_THE_CLEAR)
    if name == "answer":
        return TestStep(f"Responded with {attempt.code} in {_total(attempt)}", State.DONE)
    title_of, text = WORDS[name].done, ""
    if name == "name":
        text = host_of(attempt.url)
        if _is_number(text):
            return TestStep("No name to look up", State.DONE, f"The URL has an IP address: {text}")
    elif name == "connect":
        text = f"To {attempt.peer}" if attempt.peer else ""
    elif attempt.certificate_ends_at:
        title_of = f"Certificate valid until {day_of(attempt.certificate_ends_at)}"
    return TestStep(title_of, State.DONE, text, _after(attempt, name))


def _failed(name: str, attempt: AttemptDetail) -> TestStep:
    why = f"{title(attempt.failed_for)}."
    if name == "answer" and attempt.code:
        return TestStep(f"Responded with {attempt.code} in {_total(attempt)}", State.FAILED, why)
    return TestStep(WORDS[name].failed, State.FAILED, why, _total(attempt))


def _after(attempt: AttemptDetail, name: str) -> str:
    at = attempt.phases.get(name)
    return in_words(at / 1000) if at else ""


def _total(attempt: AttemptDetail) -> str:
    return _after(attempt, "total")


def _is_secure(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
