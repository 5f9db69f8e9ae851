"""The navigation of every page counts the deliveries and the webhooks that need attention."""

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.webhooks import OffReason, WebhookState
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page
from tests.web.signed_in import visit


def counted(page: Page) -> dict[str, str]:
    """Return the count that each navigation entry shows."""
    (nav,) = [n for n in page.root.find_all("nav") if n.get("aria-label") == "Main"]
    pills = [n for n in nav.walk() if "pill-count" in n.get("class").split()]
    return {
        link.text.removesuffix(pill.text).strip(): pill.text
        for link in nav.find_all("a")
        for pill in link.walk()
        if pill in pills
    }


def some_trouble() -> None:
    """Create 3 webhooks with problems, 3 undelivered deliveries, and others without problems."""
    failing = make_webhook()
    make_webhook(state=WebhookState.OFF, off_reason=OffReason.GONE, off_at=utcnow())
    make_webhook(state=WebhookState.OFF, off_reason=OffReason.PERSON, off_at=utcnow())
    make_delivery(make_webhook(throttled=True), status="retrying", reason="dns", tries=2)
    for status in ("failed", "failed", "delivered"):
        made = {"reason": "server", "code": 500, "tries": 10} if status == "failed" else {}
        make_delivery(failing, status=status, **made)


@pytest.mark.parametrize("role", ["admin", "manager", "support"])
def test_navigation_counts_match_the_lists_on_every_page(app: Flask, role: str) -> None:
    some_trouble()
    pages = visit(app, role)
    for path in ("/", "/assets", "/deliveries", "/settings/webhooks", "/help", "/nowhere"):
        assert counted(pages.get(path)) == {
            "Deliveries": "3 undelivered",
            "Webhooks": "3 with problems",
        }, path
    assert "Needs attention 3" in pages.get("/deliveries").main


def test_navigation_shows_no_counts_without_problems(app: Flask) -> None:
    make_delivery(make_webhook(), status="delivered")
    assert counted(visit(app).get("/assets")) == {}
