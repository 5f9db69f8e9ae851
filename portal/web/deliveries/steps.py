"""Present a delivery's attempts as rows, and a test's attempt step by step."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from portal.engine.formats.answers import Meaning
from portal.engine.http.address_guard import host_of, is_exposed
from portal.engine.reasons import Reason, explain, title
from portal.lib.durations import in_words
from portal.lib.typed_text import storable
from portal.models.deliveries import OPEN
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail
from portal.web.frame.wording import day_of

PHASES: Final = {
    "again": "resent on a new connection",
    "name": "name found",
    "connect": "connected",
    "tls": "connection secure",
    "first_byte": "first byte of the response",
    "total": "finished",
}


class AttemptRow(NamedTuple):
    """One attempt. Tones are success, danger, warning, and info.

    `side` is the side of the cause. `other_body` is the body it sent, if the page shows another
    one.
    """

    attempt: AttemptDetail
    who: str
    tone: str
    result: str
    side: str
    took: str
    other_body: str

    @property
    def phases(self) -> str:
        """Return the end of each phase in words."""
        return phases_in_words(self.attempt.phases)


def attempt_row(attempt: AttemptDetail, shown: bytes, meaning: Meaning | None) -> AttemptRow:
    """Build the row of an attempt.

    `shown` is the body of the request on the page. `meaning` is the meaning of the response.
    """
    tone, result = result_of(attempt)
    total = attempt.phases.get("total")
    has_failed = not (attempt.is_being_sent or attempt.is_delivered)
    by_code = explain(attempt.failed_for, host="")
    explained = meaning.explained(by_code) if meaning else by_code
    return AttemptRow(
        attempt,
        who(attempt),
        tone,
        result,
        explained.side.label if has_failed else "",
        "" if total is None else in_words(total / 1000),
        "" if attempt.body in (None, shown) else storable((attempt.body or b"").decode()),
    )


def phases_in_words(phases: dict[str, Any]) -> str:
    """Return the time from the start to the end of each phase.

    Phases without a time are left out.
    """
    known = [(words, phases.get(key)) for key, words in PHASES.items()]
    return ", ".join(
        f"{words} after {in_words(at / 1000)}" for words, at in known if at is not None
    )


def who(attempt: AttemptDetail) -> str:
    """Return "Attempt 3", "Retry by Sam", or "Test"."""
    match attempt.kind:
        case "manual":
            return f"Retry by {attempt.actor}" if attempt.actor else "Retry"
        case "test":
            return "Test"
        case _:
            return f"Attempt {attempt.number}"


def result_of(attempt: AttemptDetail) -> tuple[str, str]:
    """Return the tone and words of an attempt's result."""
    if attempt.is_being_sent:
        return "info", "Sending now"
    if attempt.is_delivered:
        return "success", f"Delivered ({attempt.code})"
    return "warning" if attempt.is_interrupted else "danger", title(
        attempt.failed_for, attempt.code
    )


class State(StrEnum):
    """States of a step. `noted` means done with a remark, and `later` means not reached."""

    DONE = "done"
    NOTED = "noted"
    FAILED = "failed"
    NOW = "now"
    LATER = "later"


class Words(NamedTuple):
    """Titles of a step before it, after it, and if it failed."""

    ahead: str
    done: str
    failed: str


@dataclass(frozen=True, slots=True)
class TestStep:
    """One step of a test. `after` is the time since the start of the attempt."""

    __test__ = False  # not a test case, despite its name

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
# Reasons that end each step. All others end the step that waits for the response.
_ENDS: Final = {
    "picked": {Reason.BAD_HEADERS, Reason.INTERNAL},
    "name": {Reason.DNS},
    "connect": {Reason.BLOCKED, Reason.REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE},
    "tls": {Reason.TLS_EXPIRED, Reason.TLS_UNTRUSTED, Reason.TLS_NAME, Reason.TLS_OTHER},
}
NOT_REACHED: Final = "Not reached."
NOT_ENCRYPTED: Final = "Not encrypted. The URL starts with http://"
IN_THE_CLEAR: Final = f"{NOT_ENCRYPTED}, so others on the network can read the request."


def steps_of_test(delivery: DeliveryDetail) -> list[TestStep]:
    """Return the steps of a test's newest attempt. Any other delivery has none."""
    return list(_steps(delivery)) if delivery.is_test else []


def _steps(delivery: DeliveryDetail) -> Iterator[TestStep]:
    attempt = delivery.attempts[-1] if delivery.attempts else None
    is_over = attempt is not None and not attempt.is_being_sent
    # The phases of a request are unknown until it ends.
    reached = STEPS.index(_end_of(attempt)) if attempt and is_over else 0 if attempt else -1
    for place, name in enumerate(STEPS):
        if attempt and place <= reached:
            has_failed = is_over and place == reached and not attempt.is_delivered
            yield _failed(name, attempt) if has_failed else _done(name, attempt, delivery)
        elif name != "tls" or _is_secure(attempt.url if attempt else delivery.webhook_url):
            is_next = place == reached + 1 and not is_over and delivery.status in OPEN
            state, text = State.NOW if is_next else State.LATER, NOT_REACHED if is_over else ""
            yield TestStep(WORDS[name].ahead, state, text)


def _end_of(attempt: AttemptDetail) -> str:
    ended = (name for name, reasons in _ENDS.items() if attempt.reason in reasons)
    return "answer" if attempt.is_delivered else next(ended, "answer")


def _done(name: str, attempt: AttemptDetail, delivery: DeliveryDetail) -> TestStep:
    title_of, text, after = WORDS[name].done, "", _after(attempt, name)
    match name:
        case "picked":
            waited = (attempt.started_at - delivery.created_at).total_seconds()
            text = f"Waited {in_words(waited)} in the queue."
        case "name":
            text = host_of(attempt.url)
            if _is_number(text):
                title_of, text, after = (
                    "No DNS lookup needed",
                    f"The URL has an IP address: {text}",
                    "",
                )
        case "connect" if attempt.peer:
            text = f"To {attempt.peer}"
        case "tls" if not _is_secure(attempt.url):
            words = IN_THE_CLEAR if is_exposed(attempt.url) else f"{NOT_ENCRYPTED}."
            return TestStep("No certificate", State.NOTED, words)
        case "tls" if attempt.certificate_ends_at:
            title_of = f"Certificate valid until {day_of(attempt.certificate_ends_at)}"
        case "answer":
            title_of = f"Responded with {attempt.code} in {_after(attempt, 'total')}"
    return TestStep(title_of, State.DONE, text, after)


def _failed(name: str, attempt: AttemptDetail) -> TestStep:
    why, after = f"{title(attempt.failed_for)}.", _after(attempt, "total")
    if name == "answer" and attempt.code:
        return TestStep(f"Responded with {attempt.code} in {after}", State.FAILED, why)
    return TestStep(WORDS[name].failed, State.FAILED, why, after)


def _after(attempt: AttemptDetail, name: str) -> str:
    at = attempt.phases.get(name)
    return in_words(at / 1000) if at else ""


def _is_secure(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
