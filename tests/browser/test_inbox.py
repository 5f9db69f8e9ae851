"""Test of the built-in inbox in a real browser."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from jobs.deliver import deliver_due
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import sign_in
from tests.support.factories import publish

PATIENCE_MS = 30_000  # the page polls at least every ten seconds


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    """Serve the portal as in production, where it can't send to private addresses."""
    before = app.extensions["settings"]
    with served(app) as url:
        app.extensions["settings"] = replace(
            before,
            inbox_origin=url,
            port=urlsplit(url).port,
            webhook_allowed_networks=(),
        )
        yield url
    app.extensions["settings"] = before


def test_the_inbox_shows_a_test_and_an_event_as_they_arrive(
    page: Page, app: Flask, portal: str
) -> None:
    sign_in(page, app, portal)
    page.goto(f"{portal}/settings/webhooks")
    page.get_by_role("button", name="Use the built-in inbox").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Built-in inbox")
    expect(page.locator(".inbox-count")).to_have_text("No deliveries yet.")
    page.get_by_role("button", name="Send test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Built-in inbox")
    deliver_due()
    message = page.locator(".line-fold").first
    expect(message.get_by_text("Signature verified")).to_be_visible(timeout=PATIENCE_MS)
    expect(message.get_by_text("Test", exact=True)).to_be_visible()
    publish(note="a change")
    deliver_due()
    expect(page.locator(".inbox-count")).to_contain_text("2 deliveries", timeout=PATIENCE_MS)
    expect(message.get_by_text("AST-00007 Projector").first).to_be_visible()
    # A closed message is one line high.
    height = "each => { each.open = false; return each.offsetHeight; }"
    assert page.locator(".line-fold").nth(1).evaluate(height) <= 60
    message.get_by_role("link", name="View delivery").click()
    expect(page.locator(".state .tag")).to_have_text("Delivered")
    expect(page.get_by_role("main")).to_contain_text("The built-in inbox received this delivery.")
    expect(page.get_by_role("main")).to_contain_text("/inbox/••••")
