"""Tests that lists and pages fit on screens and paper, without sideways scroll or cut text."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from flask import Flask
from playwright.sync_api import Page, ViewportSize, expect
from sqlalchemy import update

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.alerts import Alert, RunKind
from portal.queue.names import DELIVERIES
from portal.services.alerts import runs as alert_runs
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import LogFilter
from tests.browser.support.signed_in_page import sign_in
from tests.services.actions.plan_examples import make_maintenance, make_reservation
from tests.services.alerts.due_things import decided, lent
from tests.services.bulk_retry.test_bulk_retry import finish, some, work
from tests.support.deliveries import fail, make_attempt, make_delivery
from tests.support.factories import (
    make_asset,
    make_category,
    make_location,
    make_staff,
    make_user,
    make_webhook,
)
from tests.support.heartbeats import record_own

LISTS = ["/assets", "/deliveries", "/settings/webhooks"]
# Return the end and the height of every row of the page's list.
ROWS = """() => [...document.querySelectorAll(".register tbody tr")].map(row => {
  const box = row.getBoundingClientRect();
  return {end: box.bottom + scrollY, height: box.height};
})"""
# Return the texts of the log that are cut off.
CUT = """() => [...document.querySelectorAll(".log :is(td, th) *")].filter(each => {
  const box = each.getBoundingClientRect(), cell = each.closest("td, th").getBoundingClientRect();
  return box.right > cell.right + 0.5 || each.scrollWidth > each.clientWidth + 1
    && getComputedStyle(each).display !== "inline" && !each.matches(".visually-hidden");
}).map(each => each.outerHTML)"""
# A4 without its margins.
PAPER: Final[ViewportSize] = {"width": 718, "height": 1000}
TELEPHONE: Final[ViewportSize] = {"width": 390, "height": 844}
LONG = "Werkstatttransportwagenersatzreifenhalterung" * 2


@pytest.fixture
def filled(app: Flask) -> None:
    """Add more records than fit, some with names that are too long, and failed deliveries."""
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


def rows(page: Page) -> list[dict[str, float]]:
    found: list[dict[str, float]] = page.evaluate(ROWS)
    return found


@pytest.mark.parametrize("path", LISTS)
def test_a_list_fills_the_screen_and_does_not_scroll_sideways(
    page: Page, app: Flask, portal: str, filled: None, path: str
) -> None:
    sign_in(page, app, portal)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(portal + path)
    wide = rows(page)
    # In the log, a name that is too long takes several lines.
    usual = [row["height"] for row in wide if row["height"] < 90]
    assert max(usual) <= (40 if path == "/assets" else 58)
    assert len(usual) >= 45 or path != "/deliveries"
    assert len([row for row in wide if row["end"] <= 800]) >= 12
    page.set_viewport_size(TELEPHONE)
    narrow = rows(page)
    assert len(narrow) >= 15
    if path != "/deliveries":  # the log shows an event's name above its deliveries
        assert max(row["height"] for row in narrow) <= 64
    assert sum(row["height"] <= 64 for row in narrow) >= 15
    assert min(row["height"] for row in narrow) >= 44
    for width in range(320, 1025, 64):
        page.set_viewport_size({"width": width, "height": 800})
        beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert beyond <= 0, width


@pytest.mark.parametrize("path", [*LISTS, "/categories"])
def test_a_list_is_printed_as_a_whole_table_without_controls(
    page: Page, app: Flask, portal: str, filled: None, path: str
) -> None:
    for name in ("Laptops", LONG):
        make_category(name)
    sign_in(page, app, portal)
    page.set_viewport_size(PAPER)
    page.goto(portal + path)
    page.emulate_media(media="print")
    expect(page.locator(":is(input, select, button, .btn):visible")).to_have_count(0)
    assert page.evaluate(CUT.replace(".log", ".register")) == []
    heads = page.locator(".register thead th:visible").count()
    cells = page.locator(".register tbody tr").first.locator("> :is(th, td):visible").count()
    assert heads == cells > 1
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_printed_list_keeps_tags_on_one_line_and_states_its_share(
    page: Page, app: Flask, portal: str
) -> None:
    where = {"category_id": make_category(LONG), "location_id": make_location(LONG)}
    for number in range(51):
        tag, serial = f"AST-{number:05}", f"SN-100200300400500-{number}"
        make_asset("MacBook Air 13", asset_tag=tag, serial_number=serial, **where)
    sign_in(page, app, portal)
    page.set_viewport_size(PAPER)
    page.goto(f"{portal}/assets")
    page.emulate_media(media="print")
    expect(page.get_by_text("This page shows 50 of 51 assets.")).to_be_visible()
    shown = page.locator("td[data-label=Tag] > div").first
    line = float(shown.evaluate("each => parseFloat(getComputedStyle(each).lineHeight)"))
    assert shown.evaluate("each => each.getBoundingClientRect().height") < 1.5 * line


def test_a_row_of_the_log_has_two_lines_and_nothing_is_cut_off(
    page: Page, app: Flask, portal: str
) -> None:
    hook = make_webhook(name="Finance")
    others = some(10, hook, reason="server", code=500)
    for reasons in (["server"], ["redirect", "server"]):
        made = make_delivery(hook, status="failed", tries=len(reasons), reason="server", code=500)
        said = '{"error": "no such centre"}'
        for reason, kind in zip(reasons, ["scheduled", "manual"], strict=False):
            make_attempt(made, kind=kind, reason=reason, code=500, response_text=said)
    make_delivery(make_webhook(name=LONG), asset_tag="W" * 40, asset_name=LONG, status="delivered")
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries")
    expect(page.locator(".log").get_by_text("no such centre")).to_be_visible()
    assert max(row["height"] for row in rows(page)[1:]) <= 42
    assert page.evaluate(CUT) == []
    everything = Selection(wanted=LogFilter(), newest=bulk_retry_selection.newest_now())
    bulk_retry.start(make_user("support").actor, everything)
    for batch in (others[:1], others[1:]):
        work()
        for delivery in batch:
            finish(delivery, "failed")
    work()
    for path in ("/deliveries", "/deliveries?answer=centre"):
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(portal + path)
        expect(page.locator(".register tbody").get_by_text("bulk retry")).to_have_count(2)
        assert page.evaluate(CUT) == []
        page.set_viewport_size(TELEPHONE)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_bulk_actions_appear_with_the_first_selected_row(
    page: Page, app: Flask, portal: str, filled: None
) -> None:
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries")
    retry = page.get_by_role("button", name="Retry", exact=True)
    expect(retry).to_be_hidden()
    page.locator("tbody input[type=checkbox]").first.check()
    expect(retry).to_be_in_viewport()
    expect(page.locator("[data-count]")).to_have_text("1 of 50 selected")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("[data-count]")).to_have_text("50 of 50 selected")
    page.get_by_role("button", name="Clear selection").click()
    expect(retry).to_be_hidden()
    expect(page.locator("tbody input[type=checkbox]").first).to_be_focused()


def test_without_scripts_bulk_actions_are_below_the_rows(
    plain_page: Page, app: Flask, portal: str, filled: None
) -> None:
    page = plain_page
    sign_in(page, app, portal)
    page.goto(f"{portal}/assets")
    page.get_by_label("Select AST-00003").check()
    page.get_by_role("group", name="Selected assets").get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Schedule maintenance").click()
    expect(page.locator("h1")).to_have_text("Schedule maintenance for 1 asset")


def test_without_scripts_bulk_actions_on_deliveries_come_into_view(
    plain_page: Page, app: Flask, portal: str, filled: None
) -> None:
    page = plain_page
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries")
    retry = page.get_by_role("button", name="Retry", exact=True)
    expect(retry).not_to_be_in_viewport()
    page.get_by_label("Select Asset created").first.check()
    expect(retry).to_be_in_viewport()
    with page.expect_download() as file:
        page.get_by_role("button", name="Export").click()
    assert len(file.value.path().read_text().splitlines()) == 2


def test_on_a_phone_the_filters_open_without_scripts(
    plain_page: Page, app: Flask, portal: str, filled: None
) -> None:
    page = plain_page
    sign_in(page, app, portal)
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{portal}/deliveries")
    expect(page.get_by_label("Reason")).to_be_hidden()
    page.get_by_text("Filters", exact=True).press("Enter")
    page.get_by_label("Reason").select_option("server")
    page.get_by_text("More filters", exact=True).click()
    page.get_by_label("Response code").fill("5xx")
    page.get_by_role("button", name="Apply").click()
    assert "code=5xx" in page.url
    expect(page.locator("tbody tr")).to_have_count(8)


def test_on_a_phone_rows_of_lists_have_two_lines(page: Page, app: Flask, portal: str) -> None:
    off = make_webhook(state="off", off_reason="person", off_at=utcnow())
    for number in range(4):
        make_staff(f"Person {number}")
        make_delivery(off, status="on_hold", asset_tag=f"LAP-{number:04}", asset_name=LONG)
    make_category()
    make_maintenance(make_asset(LONG))
    make_reservation(make_asset(), make_staff())
    sign_in(page, app, portal)
    page.set_viewport_size(TELEPHONE)
    for path in (
        "/staff",
        "/categories",
        "/maintenance",
        "/reservations",
        "/settings/people",
        f"/settings/webhooks/{off.public_id}/held",
    ):
        page.goto(portal + path)
        shown = rows(page)
        assert shown, path
        with_actions = path in ("/maintenance", "/reservations")  # a tag and buttons below
        assert max(row["height"] for row in shown) <= (116 if with_actions else 68), path
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_on_a_phone_an_alert_shows_who_was_emailed_and_its_remedy(
    page: Page, app: Flask, portal: str
) -> None:
    decided()
    lent(3)
    alert_runs.run(RunKind.MANUAL)
    with writing() as current:
        columns = {"mailed_to": ["office@example.com"], "is_holder_told": True}
        current.execute(update(Alert).values(columns))
    sign_in(page, app, portal)
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{portal}/alerts")
    expect(page.get_by_role("link", name="Check in")).to_be_visible()
    expect(page.get_by_text("Emailed to office@example.com")).to_be_visible()
    expect(page.get_by_text("Reminder emailed to Maria Lopez")).to_be_visible()


def test_on_a_phone_text_is_whole_or_ends_with_an_ellipsis(
    page: Page, app: Flask, portal: str
) -> None:
    failed = make_delivery(status="failed", tries=10, reason="server", code=500)
    make_attempt(failed, reason="server", code=500)
    make_asset(LONG)
    sign_in(page, app, portal)
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{portal}/deliveries/{failed}")
    words = page.locator("#share-text")
    words.evaluate("each => { each.textContent = each.textContent.repeat(2); }")
    assert words.evaluate("each => each.scrollHeight - each.clientHeight") <= 0
    page.goto(f"{portal}/assets")
    name = page.locator("tbody .r-main a")
    assert name.evaluate("each => each.scrollWidth > each.clientWidth")
    assert name.evaluate("each => getComputedStyle(each).textOverflow") == "ellipsis"


@pytest.mark.parametrize("width", [1280, 900, 390])
def test_details_of_webhooks_are_not_cut_off_in_the_list(
    page: Page, app: Flask, portal: str, width: int
) -> None:
    fail(make_webhook(name=LONG), "server", 500, failing_since=utcnow() - timedelta(days=99))
    make_webhook(name="Sync", state="off", off_reason="failing")
    sign_in(page, app, portal)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{portal}/settings/webhooks")
    details = page.locator("[data-label=Details] > div, [data-label=Details] small")
    assert details.count() == 4
    assert (
        details.evaluate_all("all => all.filter(each => each.scrollWidth > each.clientWidth)") == []
    )


def test_links_beside_each_other_have_space_between_them(
    page: Page, app: Flask, portal: str
) -> None:
    made = make_delivery(status="failed", tries=10, reason="server", code=500)
    signed = [["X-Asset-Webhook-Signature", "0f"]]
    make_attempt(made, reason="server", code=500, request_headers=signed)
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries/{made}?show=request")
    links = [page.get_by_role("link", name=name) for name in ("Download body", "Check signature")]
    first, second = (link.evaluate("each => each.getBoundingClientRect()") for link in links)
    assert second["left"] - first["right"] >= 8


def test_on_a_phone_sign_in_names_the_portal_and_filters_look_secondary(
    page: Page, app: Flask, portal: str
) -> None:
    make_staff("Zoe")
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{portal}/sign-in")
    assert page.locator(".brand-name").evaluate("each => each.offsetWidth") > 50
    sign_in(page, app, portal)
    page.goto(f"{portal}/staff")
    page.get_by_text("Filters", exact=True).click()
    show, add = (
        page.get_by_role("button", name="Apply"),
        page.get_by_role("link", name="Add person"),
    )
    ground = "each => getComputedStyle(each).backgroundColor"
    assert show.evaluate(ground) != add.evaluate(ground)
    expect(page.locator(".brand-name")).to_have_css("position", "absolute")


def test_the_page_of_a_delivery_is_short_and_does_not_scroll_sideways(
    page: Page, app: Flask, portal: str
) -> None:
    hook = make_webhook(name="Finance depreciation")
    made = make_delivery(hook, status="failed", tries=10, reason="server", code=500)
    for _ in range(10):
        make_attempt(made, reason="bad_request", code=422, response_text="No serial number")
    text = f"<html><h1>Server error</h1><!--{'x' * 200}--></html>"
    make_attempt(made, kind="manual", actor="Sam", reason="server", code=500, response_text=text)
    sign_in(page, app, portal)
    for width, part, most in ((1280, "", 1250), (320, "", 3200), (320, "?show=request", 3600)):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{portal}/deliveries/{made}{part}")
        size = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        assert size[0] <= width, part
        assert size[1] <= most, part


def test_overview_with_six_problems_and_the_first_steps_fits(
    page: Page, app: Flask, portal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Includes the sample data that a local trial offers."""
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), local_trial=True))
    for number in range(6):
        fail(make_webhook(name=f"Receiver {number}"))
    record_own(heartbeats.worker_of(DELIVERIES))
    sign_in(page, app, portal)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(portal)
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    assert page.locator(".ptable tbody tr").count() == 6
    assert page.evaluate("document.documentElement.scrollHeight") <= 1_300
