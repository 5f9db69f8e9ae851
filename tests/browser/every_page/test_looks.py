"""What a look at the pictures of all pages found: buttons out of shape, cut words, long rows."""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.lib.clock import utcnow
from portal.models.assets import AssetKind
from portal.models.people import Role
from tests.browser.every_page.test_density import LONG, rows
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import sign_in
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_asset, make_category, make_staff, make_user, make_webhook

# Of a button with an icon: how far its words are from its middle, and from the icon, in pixels.
OFF_CENTRE = """link => {
  const box = link.getBoundingClientRect();
  const words = link.querySelector("span").getBoundingClientRect();
  const icon = link.querySelector("svg").getBoundingClientRect();
  const middle = (box.top + box.bottom - words.top - words.bottom) / 2;
  return {middle: middle, gap: words.left - icon.right};
}"""
TELEPHONE = {"width": 390, "height": 844}


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def test_a_link_that_looks_like_a_button_has_its_words_in_its_middle(
    page: Page, app: Flask, portal: str
) -> None:
    other = make_user(Role.SUPPORT)
    sign_in(page, app, portal)
    page.goto(f"{portal}/settings/people/{other.public_id}")
    for name in ("New password", "Erase"):
        link = page.get_by_role("link", name=name)
        off = link.evaluate(OFF_CENTRE)
        assert abs(off["middle"]) <= 2, name
        assert off["gap"] >= 4, name


def test_on_a_telephone_lists_of_many_are_two_lines_a_row(
    page: Page, app: Flask, portal: str
) -> None:
    off = make_webhook(state="off", off_reason="person", off_at=utcnow())
    for number in range(4):
        make_staff(f"Person {number}")
        make_delivery(off, status="held", asset_tag=f"LAP-{number:04}", asset_name=LONG)
    make_category()
    sign_in(page, app, portal)
    page.set_viewport_size(TELEPHONE)
    for path in (
        "/staff",
        "/categories",
        f"/settings/webhooks/{off.public_id}",
        f"/settings/webhooks/{off.public_id}/held",
    ):
        page.goto(portal + path)
        found = rows(page)
        assert found, path
        assert max(row["height"] for row in found) <= 68, path
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_the_number_of_what_is_low_needs_no_third_line(page: Page, app: Flask, portal: str) -> None:
    make_asset("Gloves", kind=AssetKind.STOCK, quantity=19, unit="pair", min_quantity=20)
    sign_in(page, app, portal)
    page.goto(f"{portal}/assets")
    expect(page.locator("tbody tr")).to_contain_text("19 pair, low below 20")
    assert [round(row["height"]) for row in rows(page)] == [44]


def test_on_a_telephone_nothing_that_is_read_is_cut_off_without_a_sign(
    page: Page, app: Flask, portal: str
) -> None:
    failed = make_delivery(status="failed", tries=10, reason="server", code=500)
    make_attempt(failed, reason="server", code=500)
    make_asset(LONG)
    sign_in(page, app, portal)
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{portal}/deliveries/{failed}")
    words = page.locator("#caller-text")
    words.evaluate("each => { each.textContent = each.textContent.repeat(2); }")
    assert words.evaluate("each => each.scrollHeight - each.clientHeight") <= 0
    page.goto(f"{portal}/assets")
    name = page.locator("tbody .r-main a")
    assert name.evaluate("each => each.scrollWidth > each.clientWidth")
    assert name.evaluate("each => getComputedStyle(each).textOverflow") == "ellipsis"


def test_on_a_telephone_a_door_says_where_one_is_and_a_filter_is_no_main_button(
    page: Page, app: Flask, portal: str
) -> None:
    make_staff("Zoe")
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{portal}/sign-in")
    assert page.locator(".brand-name").evaluate("each => each.offsetWidth") > 50
    sign_in(page, app, portal)
    page.goto(f"{portal}/staff")
    show, add = (
        page.get_by_role("button", name="Show"),
        page.get_by_role("link", name="Add a person"),
    )
    ground = "each => getComputedStyle(each).backgroundColor"
    assert show.evaluate(ground) != add.evaluate(ground)
    expect(page.locator(".brand-name")).to_have_css("position", "absolute")
