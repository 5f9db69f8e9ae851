"""The webhooks' pages in a real browser: in each state, by keyboard and script, without scripts."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.lib.clock import utcnow
from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.serve_app import served
from tests.browser.support.user_steps import open_events, open_headers
from tests.support.factories import make_webhook, publish
from tests.web.signed_in import visit

LIST = "/settings/webhooks"
LONG = f"https://{'receiver.' * 20}example.com/{'p' * 300}"


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def sign_in(page: Page, app: Flask, portal: str, role: str = "admin") -> None:
    """Carry the session of somebody who signed in elsewhere."""
    cookie = visit(app, role).client.get_cookie("session")
    assert cookie is not None
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": portal}])
    watch(page, portal)


def check(page: Page, name: str) -> None:
    """Open every closed part, look at the page, and keep a picture where one is asked for."""
    page.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")
    check_page(page, name)
    if folder := os.environ.get("PICTURES"):
        for width in (1280, 320):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})


def fill(page: Page) -> None:
    """What the form needs at least."""
    page.get_by_label("Webhook name").fill("Sync to ERP")
    page.get_by_label("Webhook URL").fill("http://127.0.0.1:8099/hook")
    open_events(page)
    page.get_by_label("Asset created").check()


def test_the_list_and_what_explains_it_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    sign_in(page, app, portal)
    page.goto(portal + LIST)
    check(page, "empty list")
    failing = {"failures_in_row": 6, "failing_since": utcnow() - timedelta(hours=1)}
    make_webhook(LONG, name="W" * 120, **failing)
    make_webhook(state="off")
    publish()
    for path in (LIST, f"{LIST}/events", "/help/webhooks"):
        page.goto(portal + path)
        check(page, f"webhooks {path.replace('/', '-')}")


def test_every_page_of_a_webhook_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    hook = make_webhook(
        LONG, name="W" * 120, secret="a secret of ours", headers=[("X-" + "H" * 62, "v" * 100)]
    )
    off = make_webhook("http://erp.example.com/", state="off", off_reason="person")
    publish()
    sign_in(page, app, portal)
    for tab in ("", "/edit", "/receiver", "/history", "/secret", "/delete"):
        page.goto(f"{portal}{LIST}/{hook.public_id}{tab}")
        check(page, f"webhook{tab.replace('/', '-')}")
    for tab in ("", "/on"):
        page.goto(f"{portal}{LIST}/{off.public_id}{tab}")
        check(page, f"webhook off{tab.replace('/', '-')}")
    page.get_by_role("button", name="Turn on").click()
    check(page, "webhook on refused")
    page.goto(f"{portal}{LIST}/{hook.public_id}/edit")
    page.get_by_label("Create one for me").check()
    page.get_by_role("button", name="Save webhook").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replace the secret key?")
    check(page, "webhook replace")


def test_a_person_connects_a_system(page: Page, app: Flask, portal: str) -> None:
    sign_in(page, app, portal)
    page.goto(f"{portal}{LIST}/new")
    page.get_by_role("button", name="Save webhook").click()
    expect(page.locator(".error-summary")).to_be_focused()
    check(page, "new refused")
    fill(page)
    expect(page.locator("[data-count]")).to_have_text("1 of 21 selected")
    page.get_by_role("button", name="Select all in Scheduled alerts").click()
    expect(page.locator("[data-count]")).to_have_text("5 of 21 selected")
    open_headers(page)
    page.get_by_role("button", name="Add a header").click()
    page.get_by_role("button", name="Add a header").click()
    page.get_by_role("button", name="Remove row 1").click()
    page.get_by_label("Header name").fill("X-Key")
    page.get_by_label("Value", exact=True).fill("a value that nobody sees again")
    check(page, "new filled")
    page.get_by_role("button", name="Save webhook").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Copy the secret key")
    expect(page.get_by_role("button", name="Copy secret key")).to_be_visible()
    check(page, "secret")
    page.get_by_role("button", name="I have copied it").click()
    expect(page.get_by_role("main")).to_contain_text("5 of 21")
    expect(page.get_by_role("main")).to_contain_text("X-Key")
    page.locator(".page-actions").get_by_role("button", name="Test webhook").click()
    expect(page).to_have_url(re.compile("/deliveries/"))


def test_a_person_connects_a_system_without_scripts(
    plain_page: Page, app: Flask, portal: str
) -> None:
    sign_in(plain_page, app, portal)
    plain_page.goto(f"{portal}{LIST}/new")
    open_headers(plain_page)
    plain_page.get_by_role("button", name="Add a header").click()
    plain_page.get_by_label("Header name").fill("X-Key")
    plain_page.get_by_label("Value", exact=True).fill("a long value of the key")
    plain_page.get_by_role("button", name="Add a header").click()
    plain_page.get_by_role("button", name="Remove row 2").click()
    fill(plain_page)
    plain_page.get_by_label("Use my own").check()
    plain_page.get_by_label("Your secret key").fill("a long key that is all our own")
    plain_page.get_by_label("Webhook name").press("Enter")
    main = plain_page.get_by_role("main")
    expect(main).to_contain_text("1 of 21")
    expect(main).to_contain_text("X-Key")
    plain_page.get_by_role("button", name="Turn off").click()
    expect(main).to_contain_text(re.compile(r" turned it off (just now|\d+ seconds? ago)"))
    plain_page.get_by_role("button", name="Turn on").click()
    expect(main).to_contain_text("“Sync to ERP” is on.")
