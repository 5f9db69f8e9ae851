"""Alerts in a real browser: the first question, a run that is followed, the list, being late.

Their pages as they are with nothing and with a little on them are in `test_every_page`.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.lib.clock import utcnow
from portal.models.people import Role
from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.serve_app import served
from tests.services.alerts.due_things import a_run_is_missing, decided, lent, with_warranty, work
from tests.support.factories import make_asset, make_webhook
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
    check_page(page, "alert settings, the first question")
    page.get_by_role("link", name="See them first").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Send them").click()
    expect(page.get_by_text("Queued: the alerts are being sent.")).to_be_visible()
    expect(page.get_by_text("A run begins in a moment.")).to_be_visible()
    work()
    sent = page.locator("#looking td").get_by_text("Nobody asked for it: 1 overdue, 1 low stock")
    expect(sent).to_be_visible(timeout=FOLLOWED_MS)
    check_page(page, "alert settings, after a run")
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
    check_page(page, "acknowledged alerts")
    page.get_by_role("link", name="Low stock").click()
    expect(page.get_by_role("heading", name="No alert matches")).to_be_visible()
    check_page(page, "no alert matches")


def test_late_alerts_are_red_on_settings_start_page_and_system(page: Page, portal: str) -> None:
    make_asset()
    a_run_is_missing()
    since = utcnow() - timedelta(minutes=9)
    make_webhook(name="W" * 120, failures_in_row=6, failing_since=since)
    page.goto(f"{portal}/settings/alerts")
    expect(page.get_by_text("Alerts are late")).to_be_visible()
    check_page(page, "alert settings, late")
    page.get_by_role("link", name="See under System what is running").click()
    expect(page.get_by_text("Alerts are late: the daily check")).to_be_visible()
    check_page(page, "system, alerts late")
    page.goto(portal)
    expect(page.get_by_role("heading", name="Alerts are late")).to_be_visible()
    check_page(page, "start page, alerts late")
    page.goto(f"{portal}/assets")
    expect(page.get_by_role("link", name="needs attention")).to_have_count(1)
    page.get_by_role("button", name="Hide for now").click()
    expect(page.get_by_role("link", name="needs attention")).to_have_count(0)
