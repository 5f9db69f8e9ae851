"""When it is tried again: the log and the delivery's page say what will really happen."""

import csv
from datetime import timedelta

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.web.frame.wording import moment, near_time, to_the_second
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit


@pytest.fixture
def support(app: Flask) -> Pages:
    """Support staff, signed in."""
    return visit(app, "support")


def test_a_line_says_when_it_is_tried_also_while_its_receiver_is_left_alone(
    support: Pages,
) -> None:
    later, soon = (utcnow() + timedelta(minutes=each, seconds=30) for each in (4, 9))
    down = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    make_delivery(down, status="retrying", tries=1, due_at=soon)
    make_delivery(down, status="retrying", tries=1)
    make_delivery(down)
    make_delivery(down, priority=Priority.INTERACTIVE, prior_status="failed")
    in_turn = make_webhook(name="In turn", in_order=True, throttled=True, backoff_until=later)
    make_delivery(in_turn, status="retrying", tries=1, due_at=soon)
    make_delivery(in_turn)
    make_delivery()
    found = [row[6] for row in reversed(support.get("/deliveries").rows())]
    nine, back = near_time(soon), f"When the receiver is back (from {near_time(later)})"
    assert found == [nine, back, back, "Next", nine, "After an older delivery", "Next"]


def test_a_try_that_is_due_before_its_receiver_is_asked_again_waits_as_well(
    support: Pages,
) -> None:
    later = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    made = make_delivery(hook, status="retrying", tries=1, reason="refused")
    page = support.get(f"/deliveries/{made}")
    assert "1 of 10 attempts made. Next attempt: in 4 minutes." in page.main
    make_attempt(made, kind="manual", reason="refused")
    page = support.get(f"/deliveries/{made}")
    assert "1 of 10 attempts made, and 1 Retry. Next attempt: in 4 minutes." in page.main
    assert "data-live-url" not in page.html


def test_only_one_is_promised_for_the_end_of_a_pause(support: Pages) -> None:
    later = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    due = [later - timedelta(minutes=each) for each in (9, 8, 7)]
    probe, untried, many = (
        make_delivery(hook, due_at=due[0], status="retrying", tries=1, reason="refused"),
        make_delivery(hook, due_at=due[1]),
        make_delivery(hook, due_at=due[2], priority=Priority.BULK, prior_status="failed"),
    )
    make_attempt(probe, reason="refused")
    make_attempt(many, reason="unavailable", code=503)
    until = near_time(later)
    both = f"{moment(later).exact}, that is {later:%H:%M:%S} UTC"
    rest = "one delivery is tried, and the others go once it arrives"
    page = support.get(f"/deliveries/{probe}").main
    assert "1 of 10 attempts made. Next attempt: in 4 minutes." in page
    assert f"It is retried automatically, at {both} or soon after." in page
    page = support.get(f"/deliveries/{many}").main
    alone = f"The receiver isn't responding and is left alone until {until}; then {rest}."
    assert alone in page
    assert f"It is retried automatically, not before {both}: then {rest}." in page
    assert f"Next automatic retry: Not before {until}" in page
    assert "in 4 minutes" not in page
    page = support.get(f"/deliveries/{untried}").main
    assert alone in page
    assert f"It is sent automatically, not before {both}: then {rest}." in page
    assert f"First attempt not before {to_the_second(later)}" in page
    assert "in 4 minutes" not in page
    asked = make_webhook(throttled=True, backoff_until=utcnow() + timedelta(minutes=20))
    make_delivery(asked, due_at=due[0])
    page = support.get(f"/deliveries/{make_delivery(asked)}").main
    until = near_time(utcnow() + timedelta(minutes=20))
    assert f"The receiver asked us to wait until {until}; then {rest}." in page


def test_one_of_many_retries_waits_for_a_receiver_in_trouble(support: Pages) -> None:
    later = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    asked = {"prior_status": "failed", "requested_by": "Ana"}
    alone = make_delivery(hook, priority=Priority.INTERACTIVE, **asked)
    many = make_delivery(hook, priority=Priority.BULK, **asked)
    assert "Ana pressed Retry. It is about" in support.get(f"/deliveries/{alone}").main
    assert "the next attempt. Retried: in 4" in support.get(f"/deliveries/{many}").main


def test_what_is_left_alone_leads_to_the_cause_and_to_a_test(app: Flask, support: Pages) -> None:
    later = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(
        name="Sync to ERP", throttled=True, backoff_seconds=300, backoff_until=later
    )
    made = make_delivery(hook)
    page = support.get(f"/deliveries/{made}")
    assert page.links("See what is wrong with Sync to ERP") == [
        f"/settings/webhooks/{hook.public_id}"
    ]
    assert "when the test arrives, all that waits goes at once" in page.main
    assert "press Test webhook" not in visit(app, "manager").get(f"/deliveries/{made}").main
    (line,) = csv.DictReader(_text(support.get("/deliveries/export.csv")).splitlines())
    assert line["next_try_at"] > line["stored_at"]


def _text(page: Page) -> str:
    return page.response.get_data(as_text=True).removeprefix("\ufeff")
