"""A delivery's verdict, its next attempt, and whether its page updates live."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from portal.engine.circuit_breaker import LONGEST_PAUSE
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.deliveries.detail import DeliveryDetail, find_delivery
from portal.services.operations import sending
from portal.web.deliveries.presenter import page_of
from portal.web.deliveries.wording import is_live, made_of, outlook_of, under_way
from portal.web.frame.wording import near_time
from tests.support.deliveries import change, lease, make_attempt, make_delivery
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
    return make_delivery(make_webhook(name="Gone", deleted_at=utcnow()), **columns)


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


OFF = "On hold because “Sync” is off"
STOPPED = "We’ll send this delivery when sending resumes."
NOT_RESTORED = "We won’t send it unless someone restores or retries it."
# By state: a maker, the start of the verdict's title and of its text, the next attempt, and whether
# the page updates live.
Case = tuple[Callable[[], UUID], str, str, str, bool]
CASES: dict[str, Case] = {
    "queued": (make_delivery, "Queued to be sent", "", "Now", True),
    "a retry": (
        lambda: make_delivery(**RETRY),
        "Queued to be sent",
        "Ana requested a retry.",
        "Now",
        True,
    ),
    "being sent": (being_sent, "Sending to receiver.example.com now", "1 of 10", "Now", True),
    "retried soon": (lambda: due_in(10), "We’ll retry at ", "2 of 10 attempts made.", "", True),
    "retried later": (lambda: due_in(25), "We’ll retry at ", "2 of 10 attempts made.", "", False),
    "off": (at_off, OFF, "It waits until", "When the webhook is turned on", False),
    "deleted": (at_deleted, "“Gone” was deleted", "We won’t send this delivery.", "None", False),
    "all stopped": (while_stopped, "", STOPPED, "When sending resumes", False),
    "all stopped, retrying": (
        lambda: while_stopped(status="retrying", tries=1),
        "",
        f"1 of 10 attempts made. {STOPPED}",
        "When sending resumes",
        False,
    ),
    "all stopped, failed": (
        lambda: while_stopped(status="failed", tries=10),
        "Automatic retries have ended",
        "Not delivered after 10 attempts.",
        "None left",
        False,
    ),
    "in order": (
        behind_another,
        "Waiting for an older delivery",
        "This webhook sends one at a time, in order.",
        "After an older delivery",
        False,
    ),
    "on_hold": (
        lambda: at_off(status="on_hold"),
        OFF,
        "It waits until someone turns the webhook on and sends it. Expires ",
        "When the webhook is turned on",
        False,
    ),
    "still held": (
        lambda: make_delivery(make_webhook(name="Sync"), status="on_hold"),
        "Still on hold, although “Sync” is on",
        "Someone needs to send it from the webhook’s page. Expires ",
        "When someone sends it",
        False,
    ),
    "dismissed": (
        lambda: make_delivery(
            status="dismissed", dismissed_by="Ana", dismissed_at=utcnow(), dismissed_reason="Known"
        ),
        "Ana dismissed this just now: Known",
        NOT_RESTORED,
        "None",
        False,
    ),
    "dismissed by nobody that was noted": (
        lambda: make_delivery(status="dismissed"),
        "Dismissed",
        NOT_RESTORED,
        "None",
        False,
    ),
    "dismissed with its webhook": (
        lambda: at_deleted(status="dismissed"),
        "Dismissed",
        "You can’t restore it because “Gone” was deleted.",
        "None",
        False,
    ),
    "failed early": (
        lambda: make_delivery(status="failed", reason="gone", tries=3),
        "The receiver reports that this URL is permanently closed",
        "Not delivered after 3 attempts. Automatic retries have ended.",
        "None",
        False,
    ),
    "a test": (
        lambda: make_delivery(status="failed", priority=Priority.TEST),
        "Tests don’t affect other deliveries",
        "The test wasn’t delivered.",
        "None",
        False,
    ),
    "arrived": (lambda: make_delivery(status="delivered"), "Delivered", "", "None", False),
}


@pytest.mark.parametrize("case", CASES)
def test_verdict_next_attempt_and_live_updates_agree(case: str) -> None:
    make, title, text, when, is_followed = CASES[case]
    page = page_of(find_delivery(make()))
    assert page.verdict.title.startswith(title)
    assert page.verdict.text.startswith(text)
    assert page.outlook.when == when or not when
    assert page.is_live is is_followed


def paused(minutes: int, *, is_probe: bool, **columns: Any) -> DeliveryDetail:
    """Return a delivery whose webhook is paused for this long. The oldest one is the probe."""
    until = utcnow() + minutes * MINUTES
    hook = make_webhook(name="Sync", throttled=True, backoff_until=until, backoff_seconds=60)
    if not is_probe:
        make_delivery(hook)
    return find_delivery(make_delivery(hook, **columns))


@pytest.mark.parametrize("has_asked", [False, True])
@pytest.mark.parametrize("is_probe", [False, True])
def test_a_pause_names_its_cause_and_the_delivery_that_goes_first(
    is_probe: bool, has_asked: bool
) -> None:
    minutes = LONGEST_PAUSE // 60 + 5 if has_asked else 4
    delivery = paused(minutes, is_probe=is_probe)
    until = near_time(delivery.next_try_at)
    paused_words = f"Sending to “Sync” is paused until {until} after failed attempts."
    why, then, when = outlook_of(delivery)
    assert why == (f"“Sync” asked us to wait until {until}." if has_asked else paused_words)
    rest = "We’ll try one delivery first. If it’s delivered, the rest follow."
    assert then == ("We’ll send this delivery then." if is_probe else rest)
    assert when == (until if is_probe else f"{until} or later")
    assert not is_live(delivery)
    assert outlook_of(replace(delivery, tries=1)).then == then.replace("send", "retry")


def test_manual_attempts_are_counted_separately() -> None:
    made = make_delivery(status="retrying", tries=3, reason="dns")
    assert made_of(find_delivery(made)) == "3 of 10 attempts made."
    make_attempt(made, kind="manual", reason="dns")
    assert made_of(find_delivery(made)) == "3 of 10 automatic attempts and 1 manual retry made."
    change(made, tries=0)
    assert made_of(find_delivery(made)) == "1 manual retry made."
    change(made, status="failed", tries=10)
    assert made_of(find_delivery(made)) == "Not delivered after 10 attempts and 1 manual retry."
    assert made_of(find_delivery(make_delivery())) == ""


@pytest.mark.parametrize(("seconds", "is_now"), [(-60, True), (0.9, True), (1, False)])
def test_a_delivery_due_within_a_second_is_due_now(seconds: float, is_now: bool) -> None:
    delivery = find_delivery(due_in(5))
    delivery = replace(delivery, now=delivery.next_try_at - timedelta(seconds=seconds))
    assert (outlook_of(delivery).when == "Now") is is_now


@pytest.mark.parametrize(
    ("make", "end"),
    [
        (lambda: make_delivery(**RETRY), "."),
        (lambda: at_off(**RETRY), ". On hold because “Sync” is off."),
        (lambda: at_deleted(**RETRY), ". “Gone” was deleted."),
        (
            lambda: find_delivery(while_stopped(**RETRY)).public_id,
            ". Ada paused all sending on ",
        ),
    ],
)
def test_a_pending_retry_says_why_it_waits(make: Callable[[], UUID], end: str) -> None:
    outcome = under_way(find_delivery(make()))
    assert outcome is not None
    assert (outcome.lead, outcome.tone) == ("Queued since", "info")
    assert outcome.end.startswith(end)
    assert under_way(find_delivery(make_delivery())) is None
