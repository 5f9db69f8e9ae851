"""Tests that pages and forms with errors are accessible, and work without scripts."""

from datetime import timedelta
from typing import Final

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.people import Role, UserSession
from portal.services.core.unit_of_work import writing
from portal.services.people import one_time_links
from tests.browser.support.accessibility import NARROW, check_page, watch
from tests.browser.support.page_list import address, rules
from tests.browser.support.sample_register import Filled, fill
from tests.browser.support.signed_in_page import session_of, show_to, sign_in
from tests.support.database.kept_filling import filled_once
from tests.support.factories import Person, make_user

# One test opens many pages, on a machine that can be busy.
pytestmark = pytest.mark.timeout(300)
# Pages of each kind: lists, records, forms, actions, charts, questions, and help.
PAGES: Final = (
    *("home.index", "account.index", "alerts.index", "alert_settings.index", "audit.index"),
    *("assets.index", "assets.show", "assets.new", "asset_parts.timeline", "actions.check_out"),
    *("planning.reservations", "importing.check", "bulk.show", "staff.show", "people.show"),
    *("deliveries.index", "deliveries.show", "delivery_help.signature", "batches.show"),
    *("webhooks.index", "webhooks.show", "webhook_drafts.show"),
    *("webhook_forms.where", "webhook_forms.new"),
    *("inbox.index", "system.index", "help.index"),
)
MISTAKEN: Final = ("assets.new", "invitations.new", "webhook_forms.new")
TYPED: Final = (
    ":is(input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea):visible"
)


def _filled() -> tuple[Person, Filled]:
    person = make_user(name="Ana Gruber")
    return person, fill(person)


def addresses(app: Flask, filled: Filled, *names: str) -> dict[str, str]:
    """Return the path of each of these pages by its endpoint."""
    by_name = {rule.endpoint: rule for rule in rules(app)}
    return {name: address(by_name[name], filled) for name in names}


def open_whole(page: Page, url: str) -> None:
    """Open the page and its folded parts, except the actions menu, which covers content."""
    page.goto(url)
    page.evaluate(
        "document.querySelectorAll('main details:not(.page-actions > .drop)')"
        ".forEach(each => each.open = true)"
    )


def test_pages_are_accessible(page: Page, app: Flask, portal: str) -> None:
    person, filled = filled_once(_filled)
    show_to(page, portal, session_of(app, person))
    for name, path in addresses(app, filled, *PAGES).items():
        open_whole(page, portal + path)
        check_page(page, name)
    open_whole(page, f"{portal}/settings/webhooks/new?to=teams")
    check_page(page, "for a chat")
    answered = f"/help/no-message?webhook={filled.webhooks}&asset=AST-00001"
    for path in ("/nowhere", "/assets?q=nothing", answered):
        page.goto(portal + path)
        check_page(page, path)
    expect(page.get_by_role("heading", name="AST-00001"), answered).to_be_visible()


def test_pages_are_complete_without_scripts(plain_page: Page, app: Flask, portal: str) -> None:
    person, filled = filled_once(_filled)
    page = plain_page
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    show_to(page, portal, session_of(app, person))
    for name, path in addresses(app, filled, *PAGES).items():
        page.goto(portal + path)
        expect(page.get_by_role("heading", level=1), name).to_be_visible()
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert beyond <= 0, name
        for form in page.locator("main form:visible").all():
            expect(form.locator("button:not([type=button])").first, name).to_be_attached()


def test_pages_of_an_empty_register_are_accessible(page: Page, app: Flask, portal: str) -> None:
    sign_in(page, app, portal)
    for path in ("/", "/assets", "/deliveries", "/settings/webhooks"):
        page.goto(portal + path)
        check_page(page, f"empty {path}")


def test_forms_with_errors_are_accessible(page: Page, app: Flask, portal: str) -> None:
    person, filled = filled_once(_filled)
    show_to(page, portal, session_of(app, person))
    for name, path in addresses(app, filled, *MISTAKEN).items():
        open_whole(page, portal + path)
        mistake(page, name)
    with writing() as current:
        current.execute(update(UserSession).values(confirmed_at=utcnow() - timedelta(minutes=16)))
    open_whole(page, f"{portal}/settings/people/invite")
    expect(page.locator("h1")).to_have_text("Confirm your password")
    mistake(page, "confirmation")


def test_setup_and_sign_in_are_accessible(page: Page, app: Flask, portal: str) -> None:
    watch(page, portal)
    setup = one_time_links.setup_link()
    assert setup
    way = f"{portal}/setup?token={setup.partition('=')[2]}"
    page.goto(way)
    mistake(page, "set-up")
    make_user(Role.ADMIN)
    page.goto(f"{portal}/sign-in")
    mistake(page, "sign-in")
    page.goto(way)
    check_page(page, "dead link")


def mistake(page: Page, name: str) -> None:
    """Submit the page's form with every field empty, and check the page."""
    form = page.locator("main form.form").first
    # Last first, because each locator counts only boxes that are still ticked.
    for box in reversed(form.locator("input[type=checkbox]:checked:visible").all()):
        box.uncheck()
    for box in form.locator(TYPED).all():
        box.fill("")
    form.locator(".form-buttons button").first.click()
    expect(page.locator(".error-summary"), name).to_be_focused()
    assert page.title().startswith("Error: "), name
    check_page(page, f"{name} with mistakes")
