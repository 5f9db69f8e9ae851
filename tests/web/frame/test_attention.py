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
    """By entry of the navigation, the number that it bears."""
    (nav,) = [n for n in page.root.find_all("nav") if n.get("aria-label") == "Main"]
    pills = [n for n in nav.walk() if "pill-count" in n.get("class").split()]
    return {
        link.text.removesuffix(pill.text).strip(): pill.text
        for link in nav.find_all("a")
        for pill in link.walk()
        if pill in pills
    }


def some_trouble() -> None:
    """Three webhooks in trouble, three deliveries that fail, and others that are well."""
    failing = make_webhook()
    make_webhook(state=WebhookState.OFF, off_reason=OffReason.GONE, off_at=utcnow())
    make_webhook(state=WebhookState.OFF, off_reason=OffReason.PERSON, off_at=utcnow())
    make_delivery(make_webhook(throttled=True), status="retrying", reason="dns", tries=2)
    for status in ("failed", "failed", "delivered"):
        made = {"reason": "server", "code": 500, "tries": 10} if status == "failed" else {}
        make_delivery(failing, status=status, **made)


@pytest.mark.parametrize("role", ["admin", "manager", "support"])
def test_it_counts_on_every_page_as_the_lists_do(app: Flask, role: str) -> None:
    some_trouble()
    pages = visit(app, role)
    for path in ("/", "/assets", "/deliveries", "/settings/webhooks", "/help", "/nowhere"):
        assert counted(pages.get(path)) == {
            "Deliveries": "3 undelivered",
            "Webhooks": "3 with problems",
        }, path
    assert "Needs attention 3" in pages.get("/deliveries").main


def test_it_bears_no_number_while_all_is_well(app: Flask) -> None:
    make_delivery(make_webhook(), status="delivered")
    assert counted(visit(app).get("/assets")) == {}
