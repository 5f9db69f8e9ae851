"""The page of one delivery in each of its states, and its handling of hostile content."""

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.deliveries import retry as delivery_retry
from portal.web.frame.wording import near_time
from tests.support.deliveries import BODY, change, lease, make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit

PHASES = {"name": 3.2, "connect": 11.0, "tls": 40.0, "first_byte": 130.0, "total": 143.0}
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


def test_a_failure_shows_its_cause_next_step_and_next_attempt(support: Pages) -> None:
    due_at = utcnow() + timedelta(minutes=4, seconds=30)
    hook = make_webhook(name="Payroll")
    made = make_delivery(hook, status="retrying", tries=2, due_at=due_at, reason="refused")
    make_attempt(made, reason="refused", phases={"name": 2.0, "total": 5.0})
    page = support.get(f"/deliveries/{made}")
    at = near_time(due_at)
    for words in (
        f"Payroll refused the connection 2 of 10 attempts made. We’ll retry at {at}.",
        f"Cause Receiver Connection refused Next attempt {at} 2 of 10 made",
        "Next step The receiver’s team",
        "to check both.",
        "Retry after it’s fixed.",
        "Makes one attempt now. If it fails, automatic retries continue",
    ):
        assert words in page.main, words


def test_a_delivered_delivery_shows_its_response_and_timing(support: Pages) -> None:
    made = make_delivery(status="delivered", tries=1, code=200, took_ms=143)
    make_attempt(
        made,
        outcome="delivered",
        code=200,
        phases=PHASES,
        response_text="thank you",
        response_headers=[["Server", "nginx"]],
        request_headers=[["X-Key", "••••"], ["Content-Type", "application/json"]],
    )
    page = support.get(f"/deliveries/{made}")
    assert " responded with 200 in 143 ms Delivered just now." in page.main
    assert "Your server responded 200." in page.main
    assert "Name found after 3 ms, connected after 11 ms, connection secure after" in page.main
    assert "thank you" in page.main
    assert "nginx" in page.main
    assert "Next step" not in page.main


def test_a_response_stays_shown_after_later_attempts_got_none(support: Pages) -> None:
    made = make_delivery(status="retrying", tries=3, reason="refused")
    make_attempt(made, reason="server", code=500, response_text=HOSTILE)
    full = {"reason": "server", "code": 500, "response_text": "the disk is full"}
    make_attempt(made, kind="manual", actor="Ana", **full)
    make_attempt(made, reason="refused")
    page = support.get(f"/deliveries/{made}")
    assert (
        "The last attempt got no response. This is the response to an earlier attempt, "
        in page.main
    )
    assert page.main.count("the disk is full") == 1
    assert page.main.count(HOSTILE) == 1
    assert "<script>alert" not in page.html
    bundle = support.get(f"/deliveries/{made}/help-bundle").response.get_data(as_text=True)
    assert "The last attempt got none. This is the response to attempt 2, " in bundle
    assert "the disk is full" in bundle


def test_receiver_content_is_always_escaped(support: Pages) -> None:
    made = make_delivery(status="failed", reason="redirect", asset_tag="<b>1</b>")
    make_attempt(
        made,
        reason="redirect",
        code=302,
        response_text=HOSTILE,
        location=HOSTILE,
        detail=HOSTILE,
        response_headers=[["X-<b>", HOSTILE]],
        url=f"https://receiver.example.com/{HOSTILE}",
    )
    page = support.get(f"/deliveries/{made}")
    assert "<script>alert" not in page.html
    assert "<img src=x" not in page.html
    assert HOSTILE in page.main
    live = support.get(f"/deliveries/{made}/live").response.get_json()
    assert "<script>alert" not in live["html"]


def test_the_body_can_be_downloaded_byte_for_byte(support: Pages) -> None:
    make_delivery(hook := make_webhook(), body=b"{}")
    made = make_delivery(hook)
    answer = support.get(f"/deliveries/{made}/body").response
    assert answer.data == BODY
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert '"note": "café"' in support.get(f"/deliveries/{made}?show=request").main


def test_the_curl_command_has_the_request_but_no_masked_value(support: Pages) -> None:
    made = make_delivery(status="failed", body=b'{"a":"it\'s"}')
    make_attempt(made, reason="server", request_headers=[["X-Key", "••••"], ["Accept", "a'b"]])
    page = support.get(f"/deliveries/{made}?show=request")
    code = next(node for node in page.root.find_all("pre") if node.get("id") == "curl-command")
    words = shlex.split(code.text.replace("\\ ", ""))
    assert words[:4] == ["curl", "--request", "POST", "https://receiver.example.com/hook"]
    assert words[-1] == '{"a":"it\'s"}'
    assert "X-Key: YOUR VALUE OF X-Key" in words
    assert "Accept: a'b" in words


def test_signature_check_and_secret_note_need_a_signed_request(support: Pages) -> None:
    for sent in ([["Accept", "*/*"]], [["X-Asset-Webhook-Signature", "0f"]]):
        made = make_delivery(status="failed", reason="auth", code=401)
        make_attempt(made, reason="auth", code=401, request_headers=sent)
        page = support.get(f"/deliveries/{made}?show=request")
        is_signed = len(sent[0][0]) > 6
        assert bool(page.links("Check signature")) is is_signed
        assert ("This command leaves out secrets." in page.main) is is_signed


def test_a_changed_url_is_shown_beside_the_one_that_was_used(support: Pages) -> None:
    made = make_delivery(make_webhook("https://new.example.com/"), status="failed")
    make_attempt(made, reason="dns")
    page = support.get(f"/deliveries/{made}?show=request")
    assert "URL now" in page.main
    assert "https://new.example.com/" in page.main


def test_an_attempt_with_a_live_lease_is_shown_as_being_sent(support: Pages) -> None:
    made = make_delivery()
    lease(made)
    page = support.get(f"/deliveries/{made}")
    assert "Sending to receiver.example.com now" in page.main
    assert "Interrupted" not in page.main
    lease(made, -1)
    page = support.get(f"/deliveries/{made}")
    assert "Interrupted" in page.main
    assert "don’t know whether the delivery arrived" in page.main
    assert "No action needed" in page.main


def test_the_page_updates_live_until_the_delivery_ends(support: Pages) -> None:
    made = make_delivery()
    page = support.get(f"/deliveries/{made}")
    assert f'data-live-url="/deliveries/{made}/live"' in page.html
    assert "Refresh this page" in page.html
    live = support.get(f"/deliveries/{made}/live").response.get_json()
    assert (live["stop"], live["announce"]) == (False, "Queued")
    change(made, status="delivered")
    make_attempt(made, outcome="delivered", code=204, phases=PHASES)
    live = support.get(f"/deliveries/{made}/live").response.get_json()
    assert live["stop"]
    assert live["announce"].startswith("Delivered. Receiver")
    assert " responded with 204 in 143 ms." in live["announce"]
    assert "data-live-url" not in support.get(f"/deliveries/{made}").html


def test_the_page_does_not_update_live_for_a_retry_hours_away(support: Pages) -> None:
    made = make_delivery(status="retrying", due_at=utcnow() + timedelta(hours=2))
    assert "data-live-url" not in support.get(f"/deliveries/{made}").html
    change(made, due_at=utcnow() + timedelta(seconds=4))
    assert "data-live-url" in support.get(f"/deliveries/{made}").html


@pytest.mark.parametrize(
    ("role", "words"),
    [("support", "Ask an administrator"), ("admin", "View System")],
)
def test_a_long_wait_without_a_worker_says_where_to_look(app: Flask, role: str, words: str) -> None:
    made = make_delivery(due_at=utcnow() - timedelta(seconds=20))
    page = visit(app, role).get(f"/deliveries/{made}")
    assert "No delivery worker is running Queued to be sent." in page.main
    assert words in page.main


def test_a_delivery_behind_an_older_one_says_so_and_warns_before_retry(support: Pages) -> None:
    hook = make_webhook(in_order=True)
    make_delivery(hook, status="retrying", due_at=utcnow() + timedelta(hours=1))
    second = make_delivery(hook, asset_id=8)
    page = support.get(f"/deliveries/{second}")
    assert "Waiting for an older delivery This webhook sends one at a time" in page.main
    assert "Sends this delivery now, before an older one" in page.main
    change(second, status="failed", reason="server", code=500)
    page = support.get(f"/deliveries/{second}")
    assert "Sends this delivery now, before an older one" in page.main


def test_retry_in_the_log_asks_before_overtaking_an_older_delivery(support: Pages) -> None:
    hook = make_webhook(in_order=True)
    head = make_delivery(hook, status="retrying", due_at=utcnow() + timedelta(hours=1))
    failed = make_delivery(hook, status="failed", asset_id=8)
    page = support.get("/deliveries")
    assert page.form(f"/deliveries/{head}/retry")
    (asks,) = page.links("Retry Asset created, AST-00007")
    assert asks == f"/deliveries/{failed}/retry?back=/deliveries"
    page = support.get(asks)
    assert "Sends this delivery now, before an older one." in page.main
    page = support.submit(page.form(f"/deliveries/{failed}/retry"), "Retry")
    assert page.path.startswith("/deliveries?retried=")
    assert "Queued since" in page.main


@pytest.mark.parametrize(
    ("end", "words", "again"),
    [
        ({"state": "off"}, "is off", "When the webhook is turned on"),
        (
            {"deleted_at": datetime(2026, 3, 7, tzinfo=UTC)},
            "was deleted",
            "We won’t send this delivery.",
        ),
    ],
)
@pytest.mark.parametrize("status", ["queued", "retrying"])
def test_an_off_or_deleted_webhooks_leftovers_are_not_promised(
    support: Pages, end: dict[str, Any], words: str, again: str, status: str
) -> None:
    """Maintenance settles a long queue in batches, so some deliveries stay open for a while."""
    hook = make_webhook(**end)
    late = utcnow() - timedelta(minutes=1)
    made = make_delivery(hook, status=status, due_at=late, reason="server")
    page = support.get(f"/deliveries/{made}")
    assert words in page.main
    assert again in page.main
    assert not any(promise in page.main for promise in ("Queued to be sent", "delivery worker"))
    assert support.get("/deliveries").rows()[0][6] == ""


def test_a_delivery_to_a_paused_webhook_says_until_when(support: Pages) -> None:
    later = utcnow() + timedelta(minutes=4)
    hook = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    made = make_delivery(hook, due_at=utcnow() - timedelta(minutes=2))
    page = support.get(f"/deliveries/{made}")
    until = near_time(later)
    assert f"is paused until {until} after failed attempts We’ll send this delivery" in page.main
    assert "Makes one attempt now, although sending is paused" in page.main
    assert "delivery worker" not in page.main


def test_a_test_over_https_shows_when_the_certificate_expires(support: Pages) -> None:
    made = make_delivery(status="delivered", priority=Priority.TEST, code=200)
    make_attempt(
        made,
        kind="test",
        outcome="delivered",
        code=200,
        phases=PHASES,
        peer="203.0.113.9:443",
        certificate_ends_at=datetime(2031, 3, 9, 12, tzinfo=UTC),
    )
    page = support.get(f"/deliveries/{made}")
    for words in (
        "Connected after 11 msTo 203.0.113.9:443",
        "Certificate valid until Mar 9, 2031 after 40 ms",
        "Responded with 200 in 143 ms",
    ):
        assert words in page.main


@pytest.mark.parametrize("trouble", ["order", "pause"])
def test_a_test_ignores_order_and_pause(support: Pages, trouble: str) -> None:
    later = utcnow() + timedelta(minutes=4)
    pause = {"throttled": True, "backoff_seconds": 300, "backoff_until": later}
    hook = make_webhook(**({"in_order": True} if trouble == "order" else pause))
    make_delivery(hook, status="retrying", due_at=later)
    made = make_delivery(hook, priority=Priority.TEST)
    page = support.get(f"/deliveries/{made}")
    assert "Queued to be sent" in page.main
    assert "data-live-url" in page.html


def test_the_page_names_the_person_who_requested_a_retry(support: Pages) -> None:
    made = make_delivery(status="failed", tries=10)
    delivery_retry.retry(make_user("support", name="Ana").actor, made)
    assert "Ana requested a retry." in support.get(f"/deliveries/{made}").main


def test_a_missing_retry_button_is_explained(support: Pages) -> None:
    off = make_webhook(state="off", name="Sync")
    reasons = {
        "“Sync” is off Not delivered after": make_delivery(off, status="failed"),
        "On hold because “Sync” is off": make_delivery(off, status="on_hold"),
    }
    for words, made in reasons.items():
        page = support.get(f"/deliveries/{made}")
        assert words in page.main
        assert f"/deliveries/{made}/retry" not in [form.action for form in page.forms]


def test_a_test_is_shown_step_by_step_and_can_be_repeated(support: Pages) -> None:
    made = make_delivery(status="failed", priority=Priority.TEST)
    make_attempt(made, kind="test", reason="tls_expired", phases={"name": 3.0, "connect": 11.0})
    page = support.get(f"/deliveries/{made}")
    for words in (
        "Server found after 3 ms",
        "Connected after 11 ms",
        "No secure connectionCertificate expired.",
        "Wait for the responseNot reached.",
    ):
        assert words in page.main
    (repeat,) = [form for form in page.forms if "Test again" in form.buttons]
    page = support.submit(repeat)
    assert page.h1 == "Test: Asset created"
    assert page.path != f"/deliveries/{made}"
    assert "Sample data, to Receiver " in page.main
    manager = visit(support.client.application, "manager").get(f"/deliveries/{made}")
    assert "Test again" not in manager.main


def test_a_test_without_https_has_no_secure_connection_step(support: Pages) -> None:
    ahead = {"https": True, "http": False}
    for scheme, is_secure in ahead.items():
        url = f"{scheme}://erp.example.com/hook"
        hook = make_webhook(url, name=scheme)
        made = make_delivery(hook, status="failed", priority=Priority.TEST)
        assert ("Secure the connection" in support.get(f"/deliveries/{made}").main) is is_secure
        make_attempt(made, kind="test", url=url, reason="refused", phases={"name": 3.0})
        page = support.get(f"/deliveries/{made}")
        assert ("Secure the connectionNot reached." in page.main) is is_secure
        assert "Wait for the responseNot reached." in page.main


def test_a_deleted_webhooks_name_is_kept_on_its_deliveries(support: Pages) -> None:
    gone = make_webhook(name="Old ERP", deleted_at=utcnow(), state="off")
    made = make_delivery(gone, status="dismissed", dismissed_by="Ana")
    page = support.get(f"/deliveries/{made}")
    assert "Old ERP (deleted)" in page.main
    assert "Download diagnostics" in page.main
    assert "Ana dismissed this You can’t restore it because “Old ERP” was deleted." in page.main


def test_only_the_newest_of_very_many_attempts_are_shown(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.services.deliveries.detail.MOST_ATTEMPTS", 2)
    made = make_delivery(status="failed")
    for _ in range(3):
        make_attempt(made, reason="server", code=500)
    assert "1 earlier attempt is not shown." in support.get(f"/deliveries/{made}").main


def test_a_request_that_never_left_is_marked_not_sent(support: Pages) -> None:
    made = make_delivery(status="failed", reason="blocked")
    make_attempt(made, reason="blocked")
    assert "Request (not sent)" in support.get(f"/deliveries/{made}").main
    make_attempt(made, reason="server", code=500)
    assert "Request (not sent)" not in support.get(f"/deliveries/{made}").main


def test_a_deleted_webhooks_deliveries_promise_no_retry(support: Pages) -> None:
    gone = make_webhook(name="Old ERP", deleted_at=utcnow(), state="off")
    failed = make_delivery(gone, status="failed", reason="refused", tries=3)
    make_attempt(failed, reason="refused")
    page = support.get(f"/deliveries/{failed}").main
    assert "“Old ERP” was deleted. We won’t send this delivery." in page
    assert "Next attempt None 3 of 10 made" in page
    test = make_delivery(gone, status="failed", priority=Priority.TEST, reason="refused")
    make_attempt(test, kind="test", reason="refused")
    away = utcnow() + timedelta(minutes=4)
    paused = make_webhook(name="Gone too", deleted_at=utcnow(), throttled=True, backoff_until=away)
    for made in (failed, test, make_delivery(paused)):
        page = support.get(f"/deliveries/{made}").main
        for words in ("Retry after", "Or retry", "Next step", "Test again"):
            assert words not in page, words


@pytest.mark.parametrize("reason", ["refused", "rate", "server"])
def test_a_page_without_a_retry_button_gives_no_advice_to_retry(
    support: Pages, reason: str
) -> None:
    off = make_webhook(name="ERP", state="off")
    failed = make_delivery(off, status="failed", reason=reason, tries=10)
    make_attempt(failed, reason=reason)
    page = support.get(f"/deliveries/{failed}")
    assert f"/deliveries/{failed}/retry" not in page.html
    assert "Retry after" not in page.main
