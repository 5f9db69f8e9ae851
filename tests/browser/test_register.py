"""The register's pages in a real browser, in each of their states."""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.services.actions import lifecycle
from portal.services.assets.rules import AssetValues
from portal.services.core.permissions import SYSTEM
from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.serve_app import served
from tests.support.factories import make_asset, make_category, make_location, make_webhook
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


def fill_register() -> int:
    """A few things of every length, the last of them changed once; its id."""
    make_webhook(events=["asset.created", "asset.updated", "asset.deleted"])
    laptops, room = make_category("Laptops"), make_location("Head office, room 204")
    make_category("Chairs")
    make_asset("A" * 120, asset_tag="T" * 40, serial_number="S" * 120)
    known = {"category_id": laptops, "location_id": room, "serial_number": "PF4X9Z2K"}
    asset_id = make_asset("ThinkPad", **known)
    changed = AssetValues(asset_tag="AST-00001", name="ThinkPad T14", notes="N" * 90, **known)
    lifecycle.edit_asset(SYSTEM, asset_id, 1, changed)
    return asset_id


def test_an_empty_register_can_be_used_by_everyone(page: Page, app: Flask, portal: str) -> None:
    sign_in(page, app, portal)
    for path in ("/assets", "/categories", "/locations"):
        page.goto(portal + path)
        check_page(page, f"empty {path}")


def test_every_page_of_the_register_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    asset_id = fill_register()
    sign_in(page, app, portal)
    one = f"/assets/{asset_id}"
    paths = ["/assets", "/assets?q=thinkpad", "/assets?q=nothing", "/assets/new", one]
    for path in [*paths, f"{one}/edit", f"{one}/delete", "/categories", "/locations/new"]:
        page.goto(portal + path)
        check_page(page, path)


def test_mistakes_and_late_edits_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    asset_id = fill_register()
    sign_in(page, app, portal)
    page.goto(f"{portal}/assets/{asset_id}/edit")
    page.get_by_label("Purchase cost").fill("a lot")
    page.get_by_role("button", name="Save asset").click()
    expect(page.locator(".error-summary")).to_be_focused()
    check_page(page, "asset form with a mistake")
    changed = AssetValues(asset_tag="AST-00001", name="ThinkPad T14 Gen 4")
    lifecycle.edit_asset(SYSTEM, asset_id, 2, changed)
    page.get_by_label("Purchase cost").fill("1250")
    page.get_by_role("button", name="Save asset").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Somebody else changed this as well")
    check_page(page, "late edit")


def test_an_asset_is_added_without_scripts(plain_page: Page, app: Flask, portal: str) -> None:
    sign_in(plain_page, app, portal)
    plain_page.goto(f"{portal}/assets")
    plain_page.get_by_role("link", name="Add an asset").first.click()
    plain_page.get_by_label("Name", exact=True).fill("Desk lamp")
    plain_page.get_by_role("button", name="Save asset").click()
    expect(plain_page.get_by_role("heading", level=1)).to_have_text("Desk lamp")
    expect(plain_page.get_by_text("AST-00001").first).to_be_visible()
