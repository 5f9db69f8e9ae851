"""The next attempt that the log and the delivery's page announce."""

from datetime import timedelta
from typing import Any, Final

import pytest

from jobs.deliver import deliver_due
from portal.engine.formats.chats import CHATS
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.deliveries.detail import find_delivery
from portal.web.frame.wording import near_time
from tests.support.deliveries import lease, make_attempt, make_delivery, stored
from tests.support.factories import make_webhook
from tests.support.pages import Pages

LONG_AGO: Final = utcnow() - timedelta(hours=1)


def test_a_row_shows_its_next_attempt_even_during_a_pause(support: Pages) -> None:
    later, soon = (utcnow() + timedelta(minutes=minutes, seconds=30) for minutes in (4, 9))
    down = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    make_delivery(down, status="retrying", tries=1, due_at=soon)
    make_delivery(down, status="retrying", tries=1)
    make_delivery(down)
    make_delivery(down, priority=Priority.INTERACTIVE, prior_status="failed")
    in_turn = make_webhook(name="In turn", in_order=True, throttled=True, backoff_until=later)
    make_delivery(in_turn, status="retrying", tries=1, due_at=soon)
    make_delivery(in_turn)
    make_delivery()
    attempts = [row[6] for row in reversed(support.get("/deliveries").rows())]
    nine, back = near_time(soon), f"{near_time(later)} or later"
    assert attempts == [nine, back, back, "Now", nine, "After an older delivery", "Now"]


def test_a_row_says_why_its_webhook_is_paused(support: Pages) -> None:
    pause = {"throttled": True, "backoff_until": utcnow() + timedelta(minutes=4)}
    hook = make_webhook(**pause)
    failed = {"tries": 2, "reason": "server", "code": 500, "failing_since": utcnow()}
    make_delivery(hook, status="retrying", **failed)
    queued = make_delivery(hook)
    make_delivery(hook, priority=Priority.INTERACTIVE, prior_status="queued")
    make_delivery(make_webhook(**pause))
    results = [row[5] for row in reversed(support.get("/deliveries").rows())]
    paused = "Paused after failed attempts"
    assert results == [
        f"Server error (500)Attempt 2 of 10 · {paused}",
        f"{paused}Server error (500)",
        "",
        paused,
    ]
    for reason in ("server", "refused"):
        code = 500 if reason == "server" else None
        make_delivery(hook, status="failed", **{**failed, "reason": reason, "code": code})
    causes = "Server error (500) and 1 other cause"
    assert f"{paused}{causes}" in [row[5] for row in support.get("/deliveries").rows()]
    assert f"after failed attempts ({causes})" in support.get(f"/deliveries/{queued}").main


def test_a_retry_due_during_a_pause_waits_for_its_end(support: Pages) -> None:
    later = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    failed = {"status": "retrying", "tries": 1, "reason": "refused", "failing_since": LONG_AGO}
    made = make_delivery(hook, **failed)
    make_attempt(made, reason="refused")
    page = support.get(f"/deliveries/{made}")
    until = near_time(later)
    why = f"is paused until {until} after failed attempts (Connection refused)."
    assert f"{why} We’ll retry this delivery" in page.main
    assert "data-live-url" not in page.html


def test_only_one_delivery_is_promised_for_the_end_of_a_pause(support: Pages) -> None:
    later = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    due = [later - timedelta(minutes=minutes) for minutes in (9, 8, 7)]
    failed = {"status": "retrying", "tries": 1, "reason": "refused", "failing_since": LONG_AGO}
    probe, untried, many = (
        make_delivery(hook, due_at=due[0], **failed),
        make_delivery(hook, due_at=due[1]),
        make_delivery(hook, due_at=due[2], priority=Priority.BULK, prior_status="failed"),
    )
    make_attempt(probe, reason="refused")
    make_attempt(many, reason="unavailable", code=503)
    until = near_time(later)
    rest = "We’ll try one delivery first. If it’s delivered, the rest follow."
    page = support.get(f"/deliveries/{probe}").main
    assert "We’ll retry this delivery then." in page
    for made in (many, untried):
        page = support.get(f"/deliveries/{made}").main
        assert f"is paused until {until} after failed attempts (Connection refused)" in page
        assert rest in page
        assert (f"Next attempt {until} or later" in page) is (made == many)
    asked = make_webhook(throttled=True, backoff_until=utcnow() + timedelta(minutes=20))
    make_delivery(asked, due_at=due[0])
    page = support.get(f"/deliveries/{make_delivery(asked)}").main
    until = near_time(utcnow() + timedelta(minutes=20))
    assert f"” asked us to wait until {until} {rest}" in page


def test_a_bulk_retry_waits_for_a_pause_but_a_single_retry_does_not(support: Pages) -> None:
    later = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    asked = {"prior_status": "failed", "requested_by": "Ana"}
    alone = make_delivery(hook, priority=Priority.INTERACTIVE, **asked)
    many = make_delivery(hook, priority=Priority.BULK, **asked)
    assert "Queued to be sent Ana requested a retry." in support.get(f"/deliveries/{alone}").main
    assert "after failed attempts Ana requested" in support.get(f"/deliveries/{many}").main


def test_a_delivery_waiting_for_a_chats_pace_says_how_many_go_first(support: Pages) -> None:
    now, hour = utcnow(), timedelta(hours=1)
    soon = {"next_at": now + timedelta(minutes=5)}
    slack, discord = make_webhook(format="slack", **soon), make_webhook(format="discord", **soon)
    retried = {"prior_status": "failed", "requested_by": "Ana"}
    columns: list[dict[str, Any]] = [
        {"due_at": now - hour},
        {"due_at": now - hour},
        {"due_at": now - hour / 2},
        {"due_at": now - 2 * hour, "priority": Priority.BULK, **retried},
        {"priority": Priority.INTERACTIVE, **retried},
        {"priority": Priority.TEST},
        {"status": "retrying", "tries": 1, "due_at": now + hour},
    ]
    first, second, third, bulk, asked, *_ = [make_delivery(slack, **values) for values in columns]
    lease(make_delivery(slack, due_at=now - hour))
    other = make_delivery(discord)
    rows = [row[6] for row in reversed(support.get("/deliveries").rows())]
    pace, slow = "Slack takes one a second", "Discord takes one every 2 seconds"
    assert rows == [*[pace] * 5, "Now", near_time(now + hour), "Sending now", slow]
    for delivery, words in (
        (first, f"{pace} 1 delivery goes first."),
        (second, f"{pace} 2 deliveries go first."),
        (third, f"{pace} 3 deliveries go first."),
        (bulk, f"{pace} Ana requested a retry. 4 deliveries go first."),
        (asked, f"{pace} Ana requested a retry. We’ll send this delivery next."),
        (other, f"{slow} We’ll send this delivery next."),
    ):
        main = support.get(f"/deliveries/{delivery}").main
        assert words in main
        assert "Queued" in main
    assert f"Sends this delivery next. {pace}." in support.get(f"/deliveries/{third}").main
    at = near_time(find_delivery(bulk).next_try_at)
    assert f"go first. We’ll send this one at {at} or later." in (
        support.get(f"/deliveries/{bulk}").main
    )
    between = find_delivery(bulk).next_try_at - find_delivery(first).next_try_at
    assert abs(between - 3 * CHATS["slack"].pace) < timedelta(milliseconds=500)


@pytest.mark.usefixtures("app")
def test_in_order_only_retries_go_before_the_oldest_at_a_chat() -> None:
    now = utcnow()
    hook = make_webhook(format="slack", in_order=True, next_at=now + timedelta(minutes=1))
    oldest = make_delivery(hook, due_at=now - timedelta(minutes=1))
    make_delivery(hook, due_at=now - timedelta(minutes=9))
    assert find_delivery(oldest).before == 0
    make_delivery(hook, prior_status="failed", priority=Priority.INTERACTIVE)
    assert find_delivery(oldest).before == 1


@pytest.mark.usefixtures("app")
def test_an_idle_chats_pace_delays_nothing() -> None:
    hook = make_webhook(format="slack", next_at=utcnow() - timedelta(seconds=20))
    assert find_delivery(make_delivery(hook)).waits_for is None
    no_chat = make_webhook(next_at=utcnow() + timedelta(minutes=1))
    assert find_delivery(make_delivery(no_chat)).waits_for is None


@pytest.mark.parametrize("kept", ["pause", "order"])
def test_a_waiting_delivery_can_be_sent_now_and_retries_if_that_fails(
    support: Pages, kept: str
) -> None:
    later = utcnow() + timedelta(minutes=4)
    pause = {"throttled": True, "backoff_seconds": 300, "backoff_until": later}
    columns = {"in_order": True} if kept == "order" else pause
    hook = make_webhook("http://127.0.0.1:9/hook", **columns)
    make_delivery(hook, due_at=later)
    made = make_delivery(hook)
    page = support.get(f"/deliveries/{made}")
    effect = {"pause": "although sending is paused", "order": "before an older one"}
    assert effect[kept] in page.main
    support.submit(page.form(f"/deliveries/{made}/retry"))
    assert stored(made)["priority"] == Priority.INTERACTIVE
    deliver_due()
    assert (stored(made)["status"], stored(made)["attempts"]) == ("retrying", 1)
    assert stored(made)["prior_status"] is None
