"""Problems tell no untrue time or number, and not only what the last Retry came to."""

import re
from datetime import UTC, datetime, timedelta

from flask import Flask

from portal.lib.clock import utcnow
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.web.home.test_home import problems
from tests.web.signed_in import visit

MINUTE = timedelta(minutes=1)


def test_a_retry_does_not_hide_why_they_failed_before(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    for _ in range(2):
        made = make_delivery(hook, status="failed", reason="refused", tries=3)
        for _ in range(3):
            body = '{"error": "asset.serial_number is missing"}'
            make_attempt(made, reason="bad_request", code=422, response_text=body)
        make_attempt(made, kind="manual", actor="Sam", reason="refused")
    pages = visit(app, "support")
    assert "earlier: Content not accepted (422)" in problems(pages.get("/deliveries"))[0]
    page = pages.get(f"/deliveries/{made}")
    assert "Before the last retry: Content not accepted (422), 3 times." in page.main
    assert "by Sam: connection refused." in page.main
    assert "Not delivered after 3 attempts and 1 Retry, and not retried" in page.main
    assert "Nothing came back to the last attempt." in page.main

    own = make_delivery(hook, status="failed", reason="refused", tries=3)
    for reason, code in (("server", 500), ("server", 500), ("refused", None)):
        make_attempt(own, reason=reason, code=code)
    assert "Before the last retry" not in pages.get(f"/deliveries/{own}").main


def test_some_that_failed_for_another_reason_before_are_told_apart(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    for earlier in (422, None, None):
        made = make_delivery(hook, status="failed", reason="refused", tries=3)
        if earlier:
            make_attempt(made, reason="bad_request", code=earlier)
        make_attempt(made, kind="manual", actor="Sam", reason="refused")
    (line,) = problems(visit(app, "support").get("/deliveries"))
    assert " · some earlier: Content not accepted (422)" in line


def test_the_row_tells_what_the_receiver_said(app: Flask) -> None:
    made = make_delivery(status="failed", reason="bad_request", code=422)
    make_attempt(
        made, reason="bad_request", code=422, response_text="asset.serial_number is missing\nat x"
    )
    (row,) = visit(app, "support").get("/deliveries").rows()
    assert "Content not accepted (422) asset.serial_number is missing" in " ".join(row)
    assert "at x" not in " ".join(row)


def test_one_that_holds_others_up_in_order_says_how_many(app: Flask) -> None:
    hook = make_webhook(name="Accounting export", in_order=True, failures_in_row=4)
    head = make_delivery(hook, status="retrying", reason="server", code=500, tries=4)
    last = [make_delivery(hook) for _ in range(13)][-1]
    pages = visit(app, "support")
    assert "1 delivery and 13 wait behind it, in order" in problems(pages.get("/"))[0]
    page = pages.get(f"/settings/webhooks/{hook.public_id}")
    assert "13 deliveries wait behind it" in page.main
    assert "oldest waiting" not in page.main
    page = pages.get(f"/deliveries/{head}")
    assert "13 deliveries wait behind this one until it is delivered or dismissed" in page.main
    page = pages.get(f"/deliveries/{last}")
    assert "behind this one" not in page.main


def test_only_what_is_retried_automatically_has_a_next_retry_and_it_is_that_of_the_rows(
    app: Flask,
) -> None:
    now = utcnow().replace(microsecond=0)
    hook = make_webhook(
        name="Helpdesk", failures_in_row=7, throttled=True, backoff_until=now + 5 * MINUTE
    )
    make_delivery(hook, status="failed", reason="refused")
    pages = visit(app, "support", time_zone="UTC")
    (line,) = problems(pages.get("/"))
    assert "next automatic retry" not in line
    assert line.endswith("none has arrived since · not retried automatically")
    later = now + 50 * MINUTE
    make_delivery(hook, status="retrying", reason="server", code=500, tries=4, due_at=later)
    (line,) = [each for each in problems(pages.get("/")) if "Server error" in each]
    assert re.search(rf"next automatic retry (\d+ \w+, )?{later:%H:%M}", line)


def test_a_retry_that_waits_counts_no_planned_attempts(app: Flask) -> None:
    now = utcnow()
    hook = make_webhook(throttled=True, failures_in_row=7, backoff_until=now + 4 * MINUTE)
    made = make_delivery(
        hook,
        priority=3,
        tries=10,
        reason="server",
        code=500,
        prior_status="failed",
        prior_due_at=now,
        requested_by="Sam",
    )
    page = visit(app, "support").get(f"/deliveries/{made}")
    assert "10 of 10" not in page.main
    assert "Sam pressed Retry." in page.main
    assert page.main.count("Press Test webhook") + page.main.count("press Test webhook") == 1
    assert not [each for each in page.root.find_all("button") if each.text == "Retry"]


def test_a_receiver_that_asks_for_time_is_not_said_to_be_silent(app: Flask) -> None:
    until = datetime.now(UTC) + timedelta(hours=2)
    hook = make_webhook(name="ERP", throttled=True, failures_in_row=2, backoff_until=until)
    made = make_delivery(hook, status="retrying", reason="unavailable", code=503, tries=2)
    make_attempt(made, reason="unavailable", code=503, response_text="Down for maintenance")
    pages = visit(app, "support", time_zone="UTC")
    asked = rf"asked us to wait until (\d+ \w+, )?{until:%H:%M}"  # a day, if not today
    for path in (f"/deliveries/{made}", f"/settings/webhooks/{hook.public_id}"):
        page = pages.get(path)
        assert re.search(asked, page.main), path
        assert "isn't responding" not in page.main, path
    (row,) = pages.get("/deliveries").rows()
    assert "The receiver asked us to wait" in " ".join(row)
