"""How a delivery stands: its sentence, what comes next, and whether its page follows by itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from portal.engine.circuit_breaker import LONGEST_PAUSE
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.deliveries.detail import DeliveryDetail, find_delivery
from portal.services.operations import sending
from portal.web.deliveries.steps import steps_of
from portal.web.deliveries.wording import again_of, is_live, sentence_of, under_way
from portal.web.frame.wording import near_time
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import make_user, make_webhook

pytestmark = pytest.mark.usefixtures("in_a_request")
MINUTES = timedelta(minutes=1)
RETRY: dict[str, Any] = {
    "prior_status": "failed",
    "requested_by": "Ana",
    "priority": Priority.INTERACTIVE,
}


def at_off(**columns: Any) -> UUID:
    return make_delivery(make_webhook(name="Sync", state="off"), **columns)


def at_deleted(**columns: Any) -> UUID:
    return make_delivery(make_webhook(deleted_at=utcnow()), **columns)


def being_sent() -> UUID:
    made = make_delivery()
    lease(made)
    return made


def behind_another() -> UUID:
    hook = make_webhook(in_order=True)
    make_delivery(hook)
    return make_delivery(hook)


def due_in(seconds: int) -> UUID:
    return make_delivery(status="retrying", tries=2, due_at=utcnow() + timedelta(seconds=seconds))


def while_stopped(**columns: Any) -> UUID:
    sending.stop(make_user("admin", name="Ada").actor)
    return make_delivery(**columns)


class Expected(NamedTuple):
    sentence: str
    again: str
    last_step: str
    is_live: bool


OFF = "Its webhook is off, so it is not sent."
STOPPED = "This goes out once it is started again."
CASES: dict[str, tuple[Callable[[], UUID], Expected]] = {
    "queued": (
        make_delivery,
        Expected("It is about to be sent.", "Now", "Waiting to be sent", True),
    ),
    "a retry": (
        lambda: make_delivery(**RETRY),
        Expected("Ana pressed Retry. It is about to be sent.", "Now", "Waiting to be sent", True),
    ),
    "being sent": (
        being_sent,
        Expected("It is being sent to receiver.example.com now.", "Now", "Attempt 1", True),
    ),
    "retried soon": (
        lambda: due_in(10),
        Expected("Not delivered yet: 2 of 10 attempts made.", "In ", "Next attempt", True),
    ),
    "retried later": (
        lambda: due_in(25),
        Expected("Not delivered yet: 2 of 10 attempts made.", "In ", "Next attempt", False),
    ),
    "off": (at_off, Expected(OFF, "Only once the webhook is on", "Waiting to be sent", False)),
    "deleted": (
        at_deleted,
        Expected(
            "Its webhook was deleted, so it is not sent.",
            "None, because the webhook was deleted",
            "Waiting to be sent",
            False,
        ),
    ),
    "all stopped": (
        while_stopped,
        Expected(STOPPED, "Once sending is started again", "Waiting", False),
    ),
    "all stopped, retrying": (
        lambda: while_stopped(status="retrying", tries=1),
        Expected(STOPPED, "Once sending is started again", "Waiting", False),
    ),
    "all stopped, failed": (
        lambda: while_stopped(status="failed", tries=10),
        Expected("Not delivered after 10 attempts", "None left", "Stored", False),
    ),
    "in order": (
        behind_another,
        Expected(
            "An older delivery goes first", "Once the older ones have arrived", "Waiting", False
        ),
    ),
    "on_hold": (
        lambda: at_off(status="on_hold"),
        Expected(
            "On hold because “Sync” is off. Expires ",
            "Only once the webhook is on",
            "On hold",
            False,
        ),
    ),
    "still held": (
        lambda: make_delivery(make_webhook(name="Sync"), status="on_hold"),
        Expected(
            "Still on hold, although “Sync” is on.",
            "Once it’s sent from the webhook’s page",
            "On hold",
            False,
        ),
    ),
    "dismissed": (
        lambda: make_delivery(
            status="dismissed", dismissed_by="Ana", dismissed_at=utcnow(), dismissed_reason="Known"
        ),
        Expected("Ana dismissed this", "None, because it was dismissed", "Dismissed by Ana", False),
    ),
    "dismissed by nobody that was noted": (
        lambda: make_delivery(status="dismissed"),
        Expected("Dismissed.", "None, because it was dismissed", "Dismissed", False),
    ),
    "failed early": (
        lambda: make_delivery(status="failed", reason="gone", tries=3),
        Expected(
            "Not delivered after 3 attempts", "None, because automatic retries", "Stored", False
        ),
    ),
    "a test that was refused": (
        lambda: make_delivery(status="failed", priority=Priority.TEST, code=500),
        Expected("The test was not accepted.", "None left", "Stored", False),
    ),
    "a test that got no answer": (
        lambda: make_delivery(status="failed", priority=Priority.TEST),
        Expected("The test did not arrive.", "None left", "Stored", False),
    ),
    "arrived": (
        lambda: make_delivery(status="delivered"),
        Expected("It has arrived.", "None, because it was delivered", "Stored", False),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_its_sentence_what_comes_next_and_whether_its_page_follows_agree(case: str) -> None:
    make, expected = CASES[case]
    found = find_delivery(make())
    assert expected.sentence in sentence_of(found)
    assert again_of(found).startswith(expected.again)
    assert steps_of(found)[-1].title == expected.last_step
    assert is_live(found) is expected.is_live


def test_of_one_that_was_dismissed_it_is_told_when_and_why() -> None:
    at, who = utcnow() - 3 * MINUTES, {"dismissed_by": "Ana", "dismissed_reason": "Known"}
    found = find_delivery(make_delivery(status="dismissed", dismissed_at=at, **who))
    assert (steps_of(found)[-1].at, steps_of(found)[-1].text) == (at, "Known")
    assert sentence_of(found).endswith(": Known.")


def paused(minutes: int, *, is_probe: bool, **columns: Any) -> DeliveryDetail:
    """One at a receiver that is left alone for so long; the first there is the probe."""
    until = utcnow() + minutes * MINUTES
    hook = make_webhook(throttled=True, backoff_until=until, backoff_seconds=60)
    if not is_probe:
        make_delivery(hook)
    return find_delivery(make_delivery(hook, **columns))


@pytest.mark.parametrize("has_asked", [False, True])
@pytest.mark.parametrize("is_probe", [False, True])
def test_of_a_pause_it_is_told_who_asked_for_it_and_who_goes_first(
    is_probe: bool, has_asked: bool
) -> None:
    minutes = LONGEST_PAUSE // 60 + 5 if has_asked else 4
    found = paused(minutes, is_probe=is_probe)
    until = near_time(found.next_try_at)
    sentence, step = sentence_of(found), steps_of(found)[-1]
    assert ("asked us to wait" in sentence) is has_asked
    assert ("isn't responding" in sentence) is not has_asked
    assert ("then one delivery is tried" in sentence) is not is_probe
    assert ("First attempt: in" in sentence) is is_probe
    assert (until in sentence) is (has_asked or not is_probe)
    assert step.title == ("First attempt" if is_probe else "First attempt not before")
    assert step.text.startswith("The receiver asked" if has_asked else "The receiver isn't")
    assert again_of(found).startswith("In " if is_probe else f"Not before {until}")
    assert again_of(found).endswith("or soon after") is is_probe
    assert not is_live(found)


def test_a_planned_attempt_that_waits_for_a_pause_says_how_many_were_made() -> None:
    assert "3 of 10 attempts made." in sentence_of(
        paused(4, is_probe=False, status="retrying", tries=3)
    )
    found = paused(4, is_probe=True, status="retrying", tries=3)
    assert "3 of 10 attempts made. Next attempt: in" in sentence_of(found)
    assert "attempts made" not in sentence_of(paused(4, is_probe=True))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-60, "now"), (0, "now"), (0.9, "now"), (1, "in 1 second"), (59, "in 59 seconds")],
)
def test_what_is_due_within_a_second_is_due_now(seconds: float, told: str) -> None:
    found = find_delivery(due_in(5))
    found = replace(found, now=found.next_try_at - timedelta(seconds=seconds))
    assert sentence_of(found).endswith(f" Next attempt: {told}.")


@pytest.mark.parametrize(
    ("make", "end"),
    [
        (lambda: make_delivery(**RETRY), "."),
        (lambda: at_off(**RETRY), ": its webhook is off."),
        (lambda: at_deleted(**RETRY), ": its webhook was deleted."),
        (lambda: while_stopped(**RETRY), ": all sending is stopped."),
    ],
)
def test_a_retry_says_what_it_waits_for(make: Callable[[], UUID], end: str) -> None:
    outcome = under_way(find_delivery(make()))
    assert outcome is not None
    assert (outcome.lead, outcome.end, outcome.tone) == ("Waiting to be sent since", end, "info")


def test_a_retry_that_waits_for_a_receiver_says_whether_that_asked_for_it() -> None:
    bulk = {**RETRY, "priority": Priority.BULK}
    for minutes, words in ((4, "isn't responding and is left alone"), (90, "asked us to wait")):
        outcome = under_way(paused(minutes, is_probe=False, **bulk))
        assert outcome is not None
        assert outcome.end.startswith(f": the receiver {words} until ")
    assert under_way(find_delivery(make_delivery())) is None
