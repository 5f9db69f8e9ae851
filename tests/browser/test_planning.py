"""Reserving and maintaining in a real browser: the walk, and every state of its pages."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.lib.clock import utcnow
from portal.services.core.time_zones import today
from tests.browser.support.accessibility import watch
from tests.browser.support.serve_app import served
from tests.support.factories import make_asset, make_staff, make_webhook
from tests.web.signed_in import visit


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def sign_in(page: Page, app: Flask, portal: str) -> None:
    """Carry the session of a manager who signed in elsewhere."""
    cookie = visit(app, "manager").client.get_cookie("session")
    assert cookie is not None
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": portal}])
    watch(page, portal)


def press(page: Page, words: str) -> None:
    page.get_by_role("main").get_by_role("button", name=words, exact=True).click()


def open_action(page: Page, words: str) -> None:
    """By the menu, as the page shows it."""
    page.get_by_text("More", exact=True).click()
    page.locator(".page-actions .drop-panel").get_by_role("link", name=words, exact=True).click()


def test_somebody_reserves_and_somebody_approves(page: Page, app: Flask, portal: str) -> None:
    make_webhook(events=["asset.reserved", "asset.reservation_approved"])
    make_staff("Maria Lopez")
    asset_id = make_asset("Epson projector")
    sign_in(page, app, portal)
    page.goto(f"{portal}/assets/{asset_id}/reservations")
    expect(page.get_by_text("Nothing is planned in these days.")).to_be_visible()
    open_action(page, "Reserve")
    press(page, "Request reservation")
    expect(page.locator(".error-summary")).to_be_focused()
    page.get_by_label("Who wants it").select_option(index=1)
    begins = utcnow() + timedelta(days=2)
    page.get_by_label("From").fill(f"{begins:%Y-%m-%dT09:00}")
    page.get_by_label("Until").fill(f"{begins + timedelta(days=3):%Y-%m-%dT17:00}")
    page.get_by_label("What for").fill("Trade fair")
    press(page, "Request reservation")
    expect(page.get_by_text("reservation requested; waiting for approval")).to_be_visible()
    page.goto(f"{portal}/reservations")
    page.get_by_role("link", name="Approve the reservation").click()
    press(page, "Approve reservation")
    expect(page.get_by_text("The reservation of AST-00001 is approved.")).to_be_visible()
    page.goto(f"{portal}/reservations")
    expect(page.get_by_role("heading", name="Nothing to decide")).to_be_visible()


def test_work_is_planned_begun_and_completed(page: Page, app: Flask, portal: str) -> None:
    make_webhook(events=["asset.maintenance_scheduled", "asset.maintenance_completed"])
    make_staff("Jonas Berg")
    asset_id = make_asset("Makita drill")
    sign_in(page, app, portal)
    page.goto(f"{portal}/assets/{asset_id}")
    open_action(page, "Schedule maintenance")
    press(page, "Schedule maintenance")
    page.get_by_label("What is to be done").fill("Check the battery")
    page.get_by_label("Due on").fill(f"{today() + timedelta(days=3)}")
    page.get_by_label("Repeat every").fill("90")
    page.get_by_label("Who does it").select_option(index=1)
    press(page, "Schedule maintenance")
    page.goto(f"{portal}/maintenance")
    expect(page.get_by_text("Due soon")).to_be_visible()
    page.get_by_role("link", name="Start “Check the battery”").click()
    press(page, "Start maintenance")
    expect(page.get_by_text("AST-00001 is in maintenance.", exact=True)).to_be_visible()
    page.get_by_role("link", name="Complete “Check the battery”").click()
    page.get_by_label("It was repaired").check()
    page.get_by_label("Cost").fill("12,50")
    press(page, "Complete maintenance")
    expect(page.get_by_text("Earlier maintenance").first).to_be_visible()
    expect(page.get_by_text("every 90 days").first).to_be_visible()
