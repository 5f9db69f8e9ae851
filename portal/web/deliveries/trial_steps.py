"""A test step by step: picked up, name found, connected, certificate, answered; with times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from portal.engine.http.url import host_of
from portal.engine.reasons import Reason, title
from portal.lib.durations import in_words
from portal.services.deliveries.attempt_detail import AttemptDetail
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.outbox.status import ShownStatus
from portal.web.frame.wording import moment


class State(StrEnum):
    """How far a step is. `noted`: done, with something to know; `later`: its turn has not come, or
    did not come any more."""

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
    """The steps of a test's newest attempt; a delivery that is no test has none."""
    if not delivery.standing.is_test:
        return []
    counted = [each for each in delivery.attempts if not each.is_unreached]
    attempt = counted[-1] if counted else None
    if attempt is None or attempt.is_being_sent:
        return list(_under_way(delivery, attempt))
    return list(_ended(delivery, attempt))


def _under_way(delivery: DeliveryDetail, attempt: AttemptDetail | None) -> Iterator[TestStep]:
    """Nothing of a request can be known before it has ended."""
    if attempt is None:
        is_over = delivery.status not in (ShownStatus.WAITING, ShownStatus.SENDING)
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
    """Those of the steps that this address would come to."""
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
    reason = Reason(attempt.reason) if attempt.reason else Reason.INTERRUPTED
    why = f"{title(reason)}."
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
    return moment(ends_at).exact.partition(",")[0] if ends_at else ""


def _is_secure(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
