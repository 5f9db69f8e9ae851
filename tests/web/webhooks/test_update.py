"""The update to share about a failing webhook with its receiver's team."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.web.deliveries.share import ASKED
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page
from tests.web.signed_in import visit

FIRST = datetime(2026, 7, 9, 22, 30, 5, tzinfo=UTC)
URL = "https://erp.example.com/hooks/Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2?token=hush"


def update_on(page: Page) -> str:
    """Return the update's text, or an empty string if the page has none."""
    texts = [node.text for node in page.root.walk() if node.get("id") == "share-text"]
    return "".join(texts)


def test_the_update_has_times_count_cause_and_request_but_no_secret(app: Flask) -> None:
    hook = make_webhook(name="Nordwind", url=URL)
    made = []
    for hour in range(4):
        columns = {"status": "failed", "reason": "server", "code": 500, "failing_since": FIRST}
        made.append(make_delivery(hook, **columns))
        at = FIRST + timedelta(hours=hour)
        make_attempt(made[-1], reason="server", code=500, url=URL, started_at=at, finished_at=at)
    text = update_on(visit(app, "manager").get(f"/settings/webhooks/{hook.public_id}"))
    assert text.startswith("4 deliveries haven’t arrived at https://erp.example.com/")
    assert "Server error (500)" in text
    assert "Jul 10, 2026, 00:30:05 (Europe/Vienna), Jul 9, 22:30:05 UTC" in text
    assert "Jul 10, 2026, 03:30:05 (Europe/Vienna), 01:30:05 UTC" in text
    assert ASKED["server"] in text
    assert [str(delivery) in text for delivery in made] == [False, True, True, True]
    assert "hush" not in text
    assert "Zz9Yy8Xx7" not in text


def test_failures_at_an_earlier_url_are_left_out(app: Flask) -> None:
    hook = make_webhook("https://old.example.com/hook", secret="", name="Nordwind")
    made = make_delivery(hook, status="failed", reason="auth", code=401, failing_since=FIRST)
    make_attempt(made, reason="auth", code=401, started_at=FIRST, finished_at=FIRST)
    page, ada = f"/settings/webhooks/{hook.public_id}", visit(app, "admin")
    assert "https://old.example.com" in update_on(ada.get(page))
    ada.submit(ada.get(f"{page}/edit").form(), "Save webhook", url="https://new.example.com/hook")
    assert not update_on(ada.get(page)), "nothing has failed there"
    later = utcnow() + timedelta(seconds=1)
    make_attempt(made, reason="auth", code=401, started_at=later, finished_at=later)
    with writing() as current:
        current.get_one(Webhook, hook.id).failures_in_row = 1
    text = update_on(ada.get(page))
    assert "arrived at https://new.example.com" in text
    assert "Last failed attempt" in text
    assert "First failed attempt" not in text


def test_the_update_lists_every_cause_and_the_last_failure(app: Flask) -> None:
    hook = make_webhook()
    for minutes, reason in enumerate(("server", "server", "refused")):
        at = FIRST + timedelta(minutes=minutes)
        made = make_delivery(hook, status="retrying", reason=reason, failing_since=FIRST)
        make_attempt(made, reason=reason, response_text="pool empty", finished_at=at)
        if reason == "server":
            make_attempt(made, reason=reason, finished_at=at)
    make_delivery(hook)
    text = update_on(visit(app).get(f"/settings/webhooks/{hook.public_id}"))
    for words in (
        "4 deliveries haven’t arrived",
        "Attempts for 3 of them failed. The others are waiting.",
        "Cause of 2: Server error.",
        "Cause of 1: Connection refused.",
        "Last failed attempt: Jul 10, 2026, 00:32:05 (Europe/Vienna), Jul 9, 22:32:05 UTC, "
        "Connection refused.",
        f"{ASKED[Reason.SERVER]} {ASKED[Reason.REFUSED]}",
        "Nothing delivered yet.",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("statuses", "promise"),
    [
        (("retrying", "queued"), "Nothing is lost. We’ll keep them and retry automatically."),
        (("failed",), "Automatic retries have ended. Let us know when to retry"),
        (("failed", "queued"), "Automatic retries have ended for 1 of them. Let us know"),
        (
            ("failed", "on_hold"),
            "1 of them. 1 delivery is on hold. It expires on ",
        ),
    ],
)
def test_the_update_promises_no_retry_of_ended_or_expiring_deliveries(
    app: Flask, statuses: tuple[str, ...], promise: str
) -> None:
    is_off = "on_hold" in statuses
    off = {"state": "off", "off_reason": "failing", "off_at": FIRST} if is_off else {}
    hook = make_webhook(**off)
    for status in statuses:
        fails = {"reason": "server", "failing_since": FIRST} if status[0] in "rf" else {}
        made = make_delivery(hook, status=status, created_at=FIRST, **fails)
        if fails:
            make_attempt(made, reason="server")
    text = update_on(visit(app).get(f"/settings/webhooks/{hook.public_id}"))
    assert promise in text
    assert ("Nothing is lost" in text) is (statuses[0] == "retrying")


@pytest.mark.parametrize("reason", ["dns", "refused", "connect_timeout", "tls_expired", "reset"])
def test_only_a_sent_request_points_to_the_receivers_logs(app: Flask, reason: str) -> None:
    hook = make_webhook()
    delivery = make_delivery(hook, status="failed", reason=reason)
    make_attempt(delivery, reason=reason)
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{delivery}"):
        text = update_on(visit(app).get(path))
        assert ASKED[Reason(reason)] in text
        assert ("your logs" in text) is (reason == "reset")
        assert (str(delivery) in text) is (reason == "reset")


@pytest.mark.parametrize("reason", ["blocked", "internal", "bad_headers"])
def test_no_update_is_offered_for_failures_on_our_side(app: Flask, reason: str) -> None:
    hook = make_webhook()
    delivery = make_delivery(hook, status="failed", reason=reason)
    make_attempt(delivery, reason=reason)
    assert not update_on(visit(app).get(f"/settings/webhooks/{hook.public_id}"))
