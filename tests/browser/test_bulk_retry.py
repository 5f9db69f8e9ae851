"""Tests of a bulk retry in a real browser: select, confirm, follow, and stop."""

from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.support.signed_in_page import sign_in
from tests.services.bulk_retry.test_bulk_retry import finish, some, work
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook


def test_a_bulk_retry_of_a_page_is_started_followed_and_stopped(
    page: Page, app: Flask, portal: str
) -> None:
    long = make_webhook(name="W" * 120)
    made = some(12, long, reason="server", code=500, asset_tag="T" * 40)
    make_delivery(long, status="delivered")
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/deliveries")
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("13 of 13 selected")).to_be_visible()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Retry 12 deliveries to")
    page.get_by_label("1 every 10 seconds").check()
    page.get_by_label("As fast as receivers accept them").check()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_text("12 left", exact=True)).to_be_visible()
    for batch in (made[:1], made[1:10]):
        work()
        for delivery in batch:
            finish(delivery, "failed")
    work()
    expect(page.get_by_text("10 failed, 2 left")).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("10 failed, 2 not sent")).to_be_visible()
