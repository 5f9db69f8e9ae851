"""Lists that hold a screenful: rows above the fold, their heights, nothing beside the screen."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.lib.clock import utcnow
from portal.services.actions import assignments
from portal.services.bulk_retry import selection
from portal.services.bulk_retry import task as bulk_retry_task
from portal.services.bulk_retry.selection import Selection
from portal.services.deliveries.log.filters import LogFilter
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import sign_in
from tests.services.bulk_retry.test_bulk_retry import finish, some, work
from tests.support.deliveries import change, make_attempt, make_delivery, stored
from tests.support.factories import make_asset, make_staff, make_user, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit

LISTS = ["/assets", "/deliveries", "/settings/webhooks"]
# Every row of the page's list: where it ends, and how high it is.
ROWS = """() => [...document.querySelectorAll(".register tbody tr")].map(row => {
  const box = row.getBoundingClientRect();
  return {end: box.bottom + scrollY, height: box.height};
})"""
# Of every tag of an asset in the log: whether all of it is to be seen, and how wide its event is.
SEEN = """() => [...document.querySelectorAll("main table .asset-tag")].map(tag => {
  const box = tag.getBoundingClientRect(), cell = tag.parentElement.getBoundingClientRect();
  return {
    text: tag.textContent,
    cut: box.right > cell.right + 0.5 || tag.scrollWidth > tag.clientWidth + 1,
    link: tag.parentElement.querySelector("a").getBoundingClientRect().width,
  };
})"""
# Whether the beginning of a text is to be seen: what is a box of its own is left out whole by
# browsers where it does not fit, and a sign stands in its place.
ROOM_TO_READ = """link => {
  const box = link.getBoundingClientRect(), cell = link.parentElement.getBoundingClientRect();
  const fits = box.right <= cell.right + 0.5 && link.parentElement.scrollWidth <= cell.width;
  return fits || (getComputedStyle(link).display === "inline" && cell.right - box.left >= 40);
}"""
LONG = "Werkstatttransportwagenersatzreifenhalterung" * 2


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


@pytest.fixture
def filled(app: Flask) -> None:
    """More of everything than fits, one with a name that fits nowhere, and a webhook in trouble."""
    hooks = [make_webhook(name=f"Receiver {number:02}") for number in range(14)]
    make_webhook(name=LONG)
    for number in range(16):
        make_asset(name=LONG if number == 15 else f"ThinkPad {number}")
        failed = {"status": "failed", "reason": "server", "code": 500, "tries": 10}
        arrived = {"status": "delivered", "code": 200, "took_ms": 184, "tries": 1}
        make_delivery(
            hooks[number % 3],
            asset_tag=f"LAP-{number:04}",
            asset_name="ThinkPad T14 Gen 5 with a long name",
            **(failed if number % 2 else arrived),
        )


@pytest.fixture
def failed(app: Flask) -> UUID:
    """As much as there usually is to tell of one: ten attempts, all of them failed, its webhook was
    turned off because of that, and the event went to four others as well."""
    off = make_webhook(state="off", off_reason="failing", off_at=utcnow())
    made = make_delivery(off, status="failed", tries=10, reason="server", code=500)
    event_id = stored(made)["event_id"]
    for status in ("delivered", "delivered", "failed", "delivered"):
        change(make_delivery(status=status), event_id=event_id)
    for _ in range(10):
        make_attempt(made, reason="server", code=500, response_text="NullPointerException\n" * 40)
    return made


def rows(page: Page) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.evaluate(ROWS)
    return found


@pytest.mark.parametrize("path", LISTS)
def test_twelve_rows_of_44_pixels_stand_above_the_fold(
    page: Page, app: Flask, portal: str, filled: None, path: str
) -> None:
    sign_in(page, app, portal)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(portal + path)
    found = rows(page)
    assert {round(row["height"]) for row in found} == {44}
    assert len([row for row in found if row["end"] <= 800]) >= 12


@pytest.mark.parametrize("path", LISTS)
def test_on_a_telephone_a_row_is_two_lines(
    page: Page, app: Flask, portal: str, filled: None, path: str
) -> None:
    sign_in(page, app, portal)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(portal + path)
    found = rows(page)
    assert len(found) >= 15
    assert max(row["height"] for row in found) <= 64
    assert min(row["height"] for row in found) >= 44


def test_a_row_of_the_log_has_two_lines_however_much_there_is_to_say(
    page: Page, app: Flask, portal: str
) -> None:
    hook = make_webhook(name="Finance depreciation")
    others = some(10, hook, reason="server", code=500)
    for reasons in (["server"], ["redirect", "server"]):
        made = make_delivery(hook, status="failed", tries=len(reasons), reason="server", code=500)
        said = '{"error": "no such centre"}'
        for reason, kind in zip(reasons, ["scheduled", "manual"], strict=False):
            make_attempt(made, kind=kind, reason=reason, code=500, response_text=said)
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries")
    expect(page.get_by_text("no such centre")).to_be_visible()
    assert {round(row["height"]) for row in rows(page)} == {44}
    everything = Selection(wanted=LogFilter(), newest=selection.newest_now())
    bulk_retry_task.start(make_user("support").actor, everything)
    work()
    for each in others:
        finish(each, "failed")
    work()
    for path in ("/deliveries", "/deliveries?answer=centre"):
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(portal + path)
        expect(page.locator("tbody").get_by_text("bulk retry")).to_have_count(2)
        assert {round(row["height"]) for row in rows(page)} == {44}
        page.set_viewport_size({"width": 390, "height": 844})
        assert max(row["height"] for row in rows(page)) <= 64
        # Of the result its beginning is to be read, not a sign that something was left out.
        for box in page.locator("tbody .quiet-link").all():
            assert box.evaluate(ROOM_TO_READ)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_tag_of_an_asset_is_never_cut_off_in_the_log(
    page: Page, app: Flask, portal: str, width: int
) -> None:
    tags = ["LAP-0001", "INV-2026-000123", *(["W" * 40] if width != 390 else [])]
    for tag in tags:
        for event in ("asset.created", "asset.reservation_rejected"):
            make_delivery(
                status="retrying", event=event, asset_tag=tag, asset_name=LONG, reason="server"
            )
    sign_in(page, app, portal)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{portal}/deliveries")
    found = page.evaluate(SEEN)
    assert sorted(each["text"] for each in found) == sorted(tags * 2)
    assert [each for each in found if each["cut"]] == []
    if width == 390:
        assert max(row["height"] for row in rows(page)) <= 64
    # The event is still there to press.
    assert min(each["link"] for each in found) >= 40


@pytest.mark.parametrize("path", ["/assets", "/deliveries"])
def test_on_a_telephone_the_order_is_among_the_filters(
    plain_page: Page, app: Flask, portal: str, filled: None, path: str
) -> None:
    page = signed_in(plain_page, app, portal)
    page.goto(portal + path)
    expect(page.get_by_label("Order")).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("thead a").first.focus()
    assert page.locator("thead").evaluate("head => getComputedStyle(head).clipPath") == "none"
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Order").select_option(index=1)
    page.get_by_role("button", name="Show").click()
    assert "sort=" in page.url
    expect(page.locator("th[aria-sort=ascending]")).to_have_count(1)


def test_on_a_telephone_the_open_tab_and_who_has_an_asset_are_to_be_seen(
    page: Page, app: Flask, portal: str
) -> None:
    name = "Maximiliane Obermayer"
    assignments.allocate(make_user().actor, make_asset("Dock"), staff_id=make_staff(name))
    sign_in(page, app, portal)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{portal}/locations")
    expect(page.get_by_role("link", name="Locations", exact=True)).to_be_in_viewport(ratio=0.9)
    page.goto(f"{portal}/assets")
    holder = page.locator("td.r-text div")
    expect(holder).to_have_text(name)
    assert holder.evaluate("each => each.scrollWidth - each.clientWidth") <= 0


@pytest.mark.parametrize("path", LISTS)
def test_nothing_scrolls_sideways_at_any_width(
    page: Page, app: Flask, portal: str, filled: None, path: str
) -> None:
    sign_in(page, app, portal)
    page.goto(portal + path)
    for width in range(320, 1025, 64):
        page.set_viewport_size({"width": width, "height": 800})
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert beyond <= 0, width


def test_what_can_be_done_with_ticked_rows_appears_with_the_first_tick(
    page: Page, app: Flask, portal: str, filled: None
) -> None:
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries")
    retry = page.get_by_role("button", name="Retry selected")
    expect(retry).to_be_hidden()
    page.locator("tbody input[type=checkbox]").first.check()
    expect(retry).to_be_in_viewport()
    expect(page.locator("[data-count]")).to_have_text("1 of 50 selected")
    page.get_by_label("Choose all on this page").check()
    expect(page.locator("[data-count]")).to_have_text("50 of 50 selected")
    page.get_by_role("button", name="Clear").click()
    expect(retry).to_be_hidden()
    expect(page.locator("tbody input[type=checkbox]").first).to_be_focused()


def height(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollHeight"))


def test_a_failed_delivery_is_told_on_a_page_and_a_half(
    page: Page, app: Flask, portal: str, failed: UUID
) -> None:
    sign_in(page, app, portal)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{portal}/deliveries/{failed}")
    expect(page.get_by_text("Turn the webhook on, and choose")).to_be_visible()
    assert height(page) <= 1200


def test_the_closed_form_of_a_webhook_is_two_pages_high(
    page: Page, app: Flask, portal: str
) -> None:
    sign_in(page, app, portal)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{portal}/settings/webhooks/new")
    assert height(page) <= 1600
    expect(page.get_by_label("Asset created")).to_be_hidden()


def signed_in(plain_page: Page, app: Flask, portal: str) -> Page:
    cookie = visit(app).client.get_cookie("session")
    assert cookie is not None
    plain_page.context.add_cookies([{"name": "session", "value": cookie.value, "url": portal}])
    return plain_page


def test_without_scripts_it_stands_below_the_rows(
    plain_page: Page, app: Flask, portal: str, filled: None
) -> None:
    page = signed_in(plain_page, app, portal)
    page.goto(f"{portal}/assets")
    page.get_by_label("Choose AST-00003").check()
    page.get_by_role("group", name="Selected assets").get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Schedule maintenance").click()
    expect(page.locator("h1")).to_have_text("Schedule maintenance for 1 asset")


def test_on_a_telephone_the_filters_open_without_scripts(
    plain_page: Page, app: Flask, portal: str, filled: None
) -> None:
    page = signed_in(plain_page, app, portal)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{portal}/deliveries")
    expect(page.get_by_label("Reason")).to_be_hidden()
    page.get_by_text("Filters", exact=True).press("Enter")
    page.get_by_label("Reason").select_option("server")
    page.get_by_text("More filters", exact=True).click()
    page.get_by_label("Answered with code").fill("5xx")
    page.get_by_role("button", name="Show").click()
    assert "code=5xx" in page.url
    expect(page.locator("tbody tr")).to_have_count(8)


def test_every_time_of_the_log_is_exact_to_the_second(app: Flask, filled: None) -> None:
    pages: Pages = visit(app)
    page = pages.get("/deliveries")
    times = list(page.root.find_all("time"))
    assert len(times) >= 16
    for each in times:
        assert each.get("datetime")
        assert each.get("title").count(":") >= 2
