"""Alerts in a real browser: the first question, a run that is followed, the list, being late.

Their pages as they are with nothing and with a little on them are in `test_every_page`.
"""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.models.people import Role
from tests.browser.support.accessibility import watch
from tests.browser.support.serve_app import served
from tests.services.alerts.due_things import decided, lent, with_warranty, work
from tests.support.factories import make_asset
from tests.web.signed_in import visit

FOLLOWED_MS = 20_000  # the page asks less and less often while it waits
LONG = "Laser measuring device " + "W" * 80


@pytest.fixture
def portal(app: Flask, page: Page) -> Iterator[str]:
    """The portal, opened by an administrator."""
    cookie = visit(app, Role.ADMIN).client.get_cookie("session")
    assert cookie is not None
    with served(app) as url:
        page.context.add_cookies([{"name": "session", "value": cookie.value, "url": url}])
        watch(page, url)
        yield url


def things_that_are_due() -> None:
    lent(3)
    with_warranty(10, name=LONG)
    make_asset("Toner", kind="stock", quantity=0, min_quantity=5)


def test_the_first_question_is_answered_and_the_run_followed_to_its_end(
    page: Page, portal: str
) -> None:
    page.goto(f"{portal}/settings/alerts")
    expect(page.get_by_role("button", name="Run now")).to_be_visible()
    things_that_are_due()
    page.reload()
    expect(page.get_by_text("What should happen to what is due already?")).to_be_visible()
    page.get_by_role("link", name="See them first").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Send them").click()
    expect(page.get_by_text("Queued: the alerts are being sent.")).to_be_visible()
    expect(page.get_by_text("A run begins in a moment.")).to_be_visible()
    work()
    sent = page.locator("#looking td").get_by_text("Nobody asked for it: 1 overdue, 1 low stock")
    expect(sent).to_be_visible(timeout=FOLLOWED_MS)
    page.get_by_role("link", name="Preview what would fire").click()
    expect(page.get_by_role("heading", name="Nothing would fire now")).to_be_visible()


def test_an_alert_is_acknowledged_from_the_list(page: Page, portal: str) -> None:
    page.goto(f"{portal}/alerts")
    expect(page.get_by_role("heading", name="No alerts yet")).to_be_visible()
    decided()
    things_that_are_due()
    page.goto(f"{portal}/settings/alerts")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Queued: the check begins now.")).to_be_visible()
    work()
    page.goto(f"{portal}/alerts")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Acknowledge Overdue").press("Enter")
    expect(page.get_by_text("Acknowledged: Overdue")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Show", exact=True).select_option("Acknowledged")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Low stock").click()
    expect(page.get_by_role("heading", name="No alert matches")).to_be_visible()
