"""Advice with two ways out: a closed URL has moved or is gone, and either side’s key is wrong."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.web.signed_in import visit
from tests.web.webhooks.test_update import update_on

SET_AT = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def closed(app: Flask) -> tuple[Hook, UUID]:
    """Make a webhook that answered 410, with one failed delivery and two on hold."""
    del app
    why = {"reason": "gone", "code": 410}
    hook = make_webhook(name="Old CRM", state="off", off_reason="gone", off_at=utcnow())
    made = make_delivery(hook, status="failed", tries=1, **why)
    make_attempt(made, **why)
    for _ in range(2):
        make_delivery(hook, status="on_hold")
    return hook, made


def test_a_closed_url_has_two_ways_out(app: Flask, closed: tuple[Hook, UUID]) -> None:
    hook, made = closed
    ada, page = visit(app, "admin"), f"/settings/webhooks/{hook.public_id}"
    delete = f"{page}/delete"
    assert ada.get(page).links("Dismiss 2 and delete") == [delete]
    assert ada.get("/").links("Dismiss 2 and delete") == [delete]
    assert ada.get(f"/deliveries/{made}").links("Delete webhook") == [delete]
    for path in (page, f"/deliveries/{made}"):
        main = ada.get(path).main
        assert "Ask the receiver’s team whether there’s a new URL." in main
        assert "If there’s no new URL, delete the webhook." in main
        text = update_on(ada.get(path))
        assert "Please send us the new URL. If there’s none, tell us so." in text
        assert "Let us know when to retry" not in text
    # The page of the question dismisses as many.
    assert "We’ll dismiss 2 deliveries" in ada.get(delete).main


def test_a_colleague_asks_for_either_way(app: Flask, closed: tuple[Hook, UUID]) -> None:
    make_user("admin", name="Ada Admin")
    hook, made = closed
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}"):
        page = visit(app, "support").get(path)
        assert (
            "Then ask an administrator (Ada Admin) to enter it or to delete the webhook."
            in page.main
        )
        assert "If there’s none, delete the webhook." in page.main
        assert not page.links("delete")


def rejected(secret: str | None) -> tuple[Hook, UUID]:
    """Create a webhook whose receiver rejects our authentication."""
    why = {"reason": "auth", "code": 401}
    hook = make_webhook(name="Nordwind", secret=secret)
    if secret:
        with writing() as current:
            row = current.get_one(Webhook, hook.id)
            row.secret_hint, row.secret_set_at = "4f2a", SET_AT
    made = make_delivery(hook, status="retrying", tries=2, **why)
    for _ in range(2):
        headers = [["X-Asset-Webhook-Signature", "af12"]] if secret else [["X-Key", "••••"]]
        make_attempt(made, response_text="bad signature", request_headers=headers, **why)
    return hook, made


def test_either_side_checks_its_key_and_signature(app: Flask) -> None:
    hook, made = rejected("a secret key of ours 4f2a")
    ours = "Our secret key ends in 4f2a and was set on May 3."
    offer = "Send us a signature that your server computed, and we’ll tell you what differs."
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}"):
        page = visit(app, "admin").get(path)
        assert "Either side might be wrong. Compare the secret key" in page.main
        assert ours in page.main.partition("Update to share")[0]
        assert page.links("Check signature")
        text = update_on(page)
        assert "Either side might be wrong." in text
        assert ours in text
        assert offer in text
        for role in ("support", "viewer"):
            page = visit(app, role).get(path)
            assert "4f2a" not in page.main
            assert bool(page.links("Check signature")) is (role == "support")
            assert "Either side might be wrong" in page.main


def test_a_webhook_without_a_key_has_no_words_about_one(app: Flask) -> None:
    hook, made = rejected(secret=None)
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}"):
        page = visit(app, "admin").get(path)
        assert "Our secret key" not in page.main
        assert "signature that your server computed" not in page.main
