"""Tests of dismissals by keyboard in a real browser."""

from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.support.signed_in_page import sign_in
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook

CHOSEN = "Dismissed 2 deliveries."


def test_a_problem_is_opened_and_dismissed_by_keyboard(page: Page, app: Flask, portal: str) -> None:
    make_delivery(make_webhook(name="Books"), status="failed", reason="server", code=500)
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/")
    page.get_by_label("More actions for Books").click()
    page.get_by_role("link", name="View 1 for Books").click()
    page.goto(f"{portal}/deliveries")
    page.locator("summary", has_text="1 undelivered in 1 webhook").focus()
    page.keyboard.press("Enter")
    rows = page.get_by_role("table", name="Webhooks with undelivered deliveries")
    expect(rows).to_contain_text("Books")
    page.get_by_label("More actions for Books").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Dismiss 1… for Books").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Reason").fill("Known")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Dismissed 1 delivery.")).to_be_visible()


def open_log(page: Page, app: Flask, portal: str) -> None:
    """Add three failed deliveries, one with an earlier reason, and open the log as support."""
    hook = make_webhook(name="Finance")
    for _ in range(2):
        make_delivery(hook, status="failed", reason="server", code=500)
    made = make_delivery(hook, status="failed", reason="refused", tries=3)
    make_attempt(made, reason="bad_request", code=422)
    make_attempt(made, kind="manual", actor="Sam", reason="refused")
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/deliveries?status=attention")


def test_two_deliveries_are_selected_and_dismissed_by_keyboard(
    page: Page, app: Flask, portal: str
) -> None:
    open_log(page, app, portal)
    expect(page.get_by_role("button", name="Dismiss", exact=True)).to_be_hidden()
    for number in (1, 2):
        page.get_by_role("checkbox", name="Select Asset created").nth(number).focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Dismiss", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Dismiss 2").click()
    expect(page.get_by_text(CHOSEN)).to_be_visible()
    expect(page).to_have_url(f"{portal}/deliveries?status=attention")
    expect(page.get_by_role("row")).to_have_count(2)
