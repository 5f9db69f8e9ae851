"""The search above every page, in a real browser, by keyboard alone."""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.support.accessibility import check_page
from tests.browser.support.sample_register import fill
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import sign_in
from tests.support.factories import make_asset, make_staff, make_user

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def search(page: Page, text: str) -> None:
    """As somebody without a mouse does."""
    box = page.get_by_role("search", name="Everything").get_by_role("searchbox")
    box.focus()
    box.fill(text)
    page.keyboard.press("Enter")


def test_what_it_finds_can_be_used_by_everyone(page: Page, app: Flask, portal: str) -> None:
    filled = fill(make_user())
    make_asset("A" * 120, asset_tag="T" * 40, serial_number="S" * 120)
    make_staff("A" * 120, department="D" * 120)
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/help")
    search(page, "a")
    expect(page.get_by_role("heading", level=1)).to_have_text("Found for “a”")
    for group in ("Assets", "People", "Webhooks"):
        expect(page.get_by_role("heading", name=group, exact=True)).to_be_visible()
    check_page(page, "found, of every kind")
    search(page, str(filled.deliveries)[:8])
    expect(page.get_by_role("main")).to_contain_text("Deliver")
    check_page(page, "found, deliveries")
    search(page, "nowhere to be found, " + "x" * 500)
    expect(page.get_by_role("main")).to_contain_text("You can search for")
    check_page(page, "found, nothing")
    search(page, f"webhook-id: {filled.deliveries}")
    expect(page).to_have_url(f"{portal}/deliveries/{filled.deliveries}")
