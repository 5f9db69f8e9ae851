"""Advice on a delivery's page that fits its webhook's situation."""

from datetime import timedelta

from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.web.frame.wording import near_time
from tests.support.deliveries import lease, make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.support.heartbeats import record_own
from tests.support.pages import Pages
from tests.web.signed_in import visit

TIMEOUT = {"reason": "read_timeout"}


def test_a_failed_test_counts_the_deliveries_with_the_same_cause(
    app: Flask, support: Pages
) -> None:
    del app
    hook, other = make_webhook(), make_webhook()
    for reason in ("read_timeout", "read_timeout", "dns"):
        made = make_delivery(hook, status="retrying", reason=reason, tries=2)
        for _ in range(2):
            make_attempt(made, reason=reason)
    for webhook, words in (
        (hook, "2 other deliveries are undelivered for the same reason"),
        (other, "Tests don’t affect other deliveries"),
    ):
        test = make_delivery(webhook, status="failed", priority=Priority.TEST, **TIMEOUT)
        make_attempt(test, **TIMEOUT)
        for path in (f"/deliveries/{test}", f"/deliveries/{test}/help-bundle"):
            text = support.client.get(path).text
            assert words in text, path
            assert "No other deliveries are affected" not in text


def test_a_rate_limited_test_says_how_long_to_wait(app: Flask) -> None:
    hook, now = make_webhook(), utcnow()
    for seconds, words in ((900, None), (-60, "Select Test again.")):
        made = make_delivery(hook, status="failed", priority=Priority.TEST, reason="rate", code=429)
        ended = now if seconds > 0 else now - timedelta(minutes=20)
        headers = [["retry-after", str(abs(seconds))]]
        columns = {"reason": "rate", "code": 429, "response_headers": headers}
        make_attempt(made, started_at=ended, finished_at=ended, **columns)
        until = near_time(now + timedelta(seconds=900))
        page = visit(app, "support").get(f"/deliveries/{made}")
        assert (words or f"Wait until {until}, then select Test again.") in page.main
        assert "Wait a minute" not in page.main


def test_a_delivery_behind_a_slow_receiver_blames_the_receiver(app: Flask) -> None:
    record_own(heartbeats.worker_of(DELIVERIES))
    hook = make_webhook(name="Hangs", throttled=True)
    made = make_delivery(hook, due_at=utcnow() - timedelta(minutes=1))
    lease(make_delivery(hook))
    page = visit(app, "support").get(f"/deliveries/{made}")
    assert "“Hangs” hasn’t responded to an earlier request yet" in page.main
    assert "Ask the receiver’s team to respond first and process afterward." in page.main
    assert "System" not in page.main


def test_a_refused_field_is_named_wherever_the_response_is(support: Pages) -> None:
    text = '{"message": "Not valid", "errors": {"asset.location_id": ["unknown location 3"]}}'
    named, hook = "asset.location_id: unknown location 3", make_webhook(name="Nordwind")
    why = {"reason": "bad_request", "code": 422}
    made = make_delivery(hook, status="retrying", tries=2, **why)
    for _ in range(2):
        make_attempt(made, response_text=text, **why)
    for path in ("/", "/deliveries", f"/settings/webhooks/{hook.public_id}"):
        assert f"“{named}”" in support.get(path).main or f" {named}" in support.get(path).main
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}"):
        assert f"Nordwind responded “{named}”." in support.get(path).main
        assert f"Cause: Content not accepted (422): “{named}”." in support.get(path).main


def test_a_page_has_one_note_for_one_recipient(app: Flask) -> None:
    why = {"reason": "auth", "code": 401}
    hook = make_webhook(name="Nordwind", state="off", off_reason="failing", off_at=utcnow())
    made = make_delivery(hook, status="on_hold", tries=2, **why)
    make_attempt(made, **why)
    page = visit(app, "support").get(f"/deliveries/{made}")
    assert page.main.count("Copy a note for an administrator") == 1
    (note,) = [node.text for node in page.root.walk() if node.get("id") == "ask-1-note"]
    happened = (
        "Nordwind rejected our authentication. The webhook is off, so we won’t send this delivery."
    )
    needed = "Turn on the webhook and decide about on-hold deliveries."
    assert f"What happened: {happened}" in note
    assert "Needed: Either side might be wrong. Compare the" in note
    assert needed in note
    assert note.count("Link:") == 1
