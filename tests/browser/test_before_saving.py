"""Tests of the webhook form in a real browser: test before saving, conditions, and formats."""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from jobs.deliver import deliver_due
from tests.browser.support.signed_in_page import sign_in
from tests.browser.support.user_steps import open_events
from tests.support.factories import make_asset, make_category
from tests.support.receiver import Receiver

NEW = "/settings/webhooks/new"
SECRET = "a long key that is all our own"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def open_form(page: Page, app: Flask, portal: str, url: str) -> None:
    """Sign in as an administrator, and fill in a webhook with a secret."""
    sign_in(page, app, portal)
    page.goto(portal + NEW)
    page.get_by_label("Webhook name").fill("Sync to ERP")
    page.get_by_label("Webhook URL").fill(url)
    open_events(page)
    page.get_by_label("Asset lost").check()
    page.get_by_label("Use my own").check()
    page.get_by_label("Your secret key").fill(SECRET)


def try_out(page: Page) -> None:
    page.get_by_role("button", name="Send test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Test before saving")


def step(page: Page, words: str) -> None:
    expect(page.locator(".test-steps")).to_contain_text(words)


def test_a_form_is_tested_corrected_tested_again_and_saved(
    page: Page, app: Flask, portal: str, receiver: Receiver
) -> None:
    open_form(page, app, portal, f"{receiver.url}old")
    receiver.answer(status=410)
    try_out(page)
    step(page, "Waiting for a delivery worker")
    deliver_due()
    step(page, "Responded with 410 in")  # the page updates itself
    expect(page.get_by_role("main")).to_contain_text(
        "Ask the receiver’s team whether there’s a new URL."
    )
    expect(page.get_by_role("main")).not_to_contain_text("turned the webhook off")
    page.get_by_role("link", name="Continue editing").click()
    expect(page.get_by_label("Webhook name")).to_have_value("Sync to ERP")
    expect(page.get_by_label("Asset lost")).to_be_checked()
    expect(page.get_by_role("main")).to_contain_text("kept from your test")
    page.get_by_label("Webhook URL").fill(f"{receiver.url}new")
    receiver.answer(status=200)
    try_out(page)
    deliver_due()
    step(page, "Responded with 200 in")
    expect(page.locator("main > [role=status]").last).to_contain_text("Delivered.")
    page.get_by_role("button", name="Save webhook").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sync to ERP")
    assert [message.path for message in receiver.wait_for(2)] == ["/old", "/new"]


def test_conditions_are_added_removed_counted_and_saved_in_place(
    page: Page, app: Flask, portal: str
) -> None:
    make_category("Laptops")
    make_asset(category_id=1)
    open_form(page, app, portal, "https://erp.example.com/hook")
    page.get_by_text("Every selected event. Add conditions").click()
    for about in ("Purchase cost", "Category", "Asset tag"):
        page.get_by_label("Condition on").select_option(about)
        page.get_by_role("button", name="Add condition").click()
    expect(page.locator("[name='conditions-2-operator']")).to_be_focused()
    expect(page.locator("#conditions-fold")).to_have_text("3 conditions")
    page.get_by_role("button", name="Remove condition 1").click()
    expect(page.locator("#conditions-fold")).to_have_text("2 conditions")
    page.get_by_label("Laptops").check()
    page.locator("[name='conditions-2-value']").fill("AST")
    page.locator("[name='conditions-2-operator']").select_option("begins with")
    page.get_by_label("All events, including future ones").check()
    page.get_by_role("button", name="Count past events").click()
    expect(page.get_by_text("1 of 1 subscribed event since")).to_be_visible()
    page.get_by_role("button", name="Save webhook").click()
    expect(page.get_by_role("main")).to_contain_text("Category is Laptops")
    expect(page.get_by_role("main")).to_contain_text("Asset tag begins with AST")


def test_the_note_about_chat_urls_is_shown_only_for_a_chat_format(
    page: Page, app: Flask, portal: str
) -> None:
    open_form(page, app, portal, "https://chat.example.com/in")
    note = page.get_by_text("A chat’s URL is always hidden")
    expect(note).to_be_hidden()
    page.get_by_label("Format").select_option("Slack")
    expect(note).to_be_visible()
    page.get_by_label("Format").select_option("Standard JSON")
    expect(note).to_be_hidden()
