"""Tests of the register's forms in a real browser: added choices, and presets for times."""

import re

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.support.signed_in_page import sign_in
from tests.support.factories import make_asset, make_staff


def add(page: Page, summary: str, **typed: str) -> None:
    """Unfold the part that adds a choice, fill it in, and press its button."""
    part = page.locator("details.adder", has=page.get_by_text(summary, exact=True))
    if part.get_attribute("open") is None:
        part.locator("summary").click()
    for label, value in typed.items():
        part.get_by_label(label.replace("_", " ")).fill(value)
    part.get_by_role("button").click()


@pytest.mark.parametrize("scripts", [True, False])
def test_adding_a_category_keeps_all_typed_values(
    app: Flask, portal: str, scripts: bool, page: Page, plain_page: Page
) -> None:
    shown = page if scripts else plain_page
    sign_in(shown, app, portal, "manager")
    shown.goto(f"{portal}/assets/new")
    shown.get_by_label("Name", exact=True).fill("ThinkPad")
    shown.get_by_label("Consumable (tracked by quantity)").check()
    shown.get_by_label("Notes").fill("two\nlines")
    add(shown, "Add category…", New_name="")
    expect(shown.locator("details.adder[open]")).to_have_count(1)
    add(shown, "Add category…", New_name="Laptops")
    expect(shown.get_by_label("Category")).to_have_value("1")
    expect(shown.get_by_label("Name", exact=True)).to_have_value("ThinkPad")
    expect(shown.get_by_label("Notes")).to_have_value("two\nlines")
    expect(shown.get_by_label("Consumable (tracked by quantity)")).to_be_checked()
    assert shown.evaluate("() => location.hash") == "#category_id-part"
    if scripts:
        shown.get_by_label("Quantity", exact=True).fill("3")
        shown.get_by_label("Name", exact=True).press("Enter")  # saves, and adds nothing
        expect(shown.get_by_role("heading", level=1)).to_have_text("ThinkPad")


def test_a_preset_and_a_date_never_contradict_each_other(
    page: Page, app: Flask, portal: str
) -> None:
    make_staff("Maria Lopez", email="maria@example.com")
    sign_in(page, app, portal, "manager")
    page.goto(f"{portal}/assets/{make_asset('Camera')}/check-out")
    typed = page.get_by_label("Date and time")
    expect(typed).to_be_hidden()
    page.get_by_role("radio", name="On a date…").check()
    expect(typed).to_be_focused()
    expect(typed).to_have_value(
        re.compile(r"T17:00$")
    )  # a week from now, so that only the day needs a change
    typed.fill("2031-01-01T09:00")
    page.get_by_role("radio", name="Tomorrow").press("Space")
    expect(typed).to_be_hidden()
    expect(typed).to_have_value("")
    page.get_by_label("Person", exact=True).select_option(label="Maria Lopez (maria@example.com)")
    page.get_by_role("button", name="Check out").click()
    expect(page.get_by_text("to Maria Lopez, due ")).to_be_visible()
