"""A page that follows something ends when it may not any more, and says why."""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.serve_app import served
from tests.support.deliveries import make_delivery
from tests.web.signed_in import visit


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def test_a_page_stops_following_after_signing_out_and_says_why(
    page: Page, app: Flask, portal: str
) -> None:
    pages = visit(app, "support")
    cookie = pages.client.get_cookie("session")
    assert cookie
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": portal}])
    watch(page, portal)
    delivery = make_delivery()
    page.goto(f"{portal}/deliveries/{delivery}")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    # Signed out in another tab: the copy of the cookie that this one has is worth nothing.
    pages.submit(pages.get("/account").form("/sign-out"))
    notice = page.get_by_text("You are signed out, so this page no longer follows")
    expect(notice.first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    check_page(page, "a page that ended")
    before = len(asked)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("link", name="Load it again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert not [url for url in asked[before:] if url.endswith("/live")]
