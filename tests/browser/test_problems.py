"""Problems and bulk retries in a real browser: by keyboard, folded away, on narrow screens."""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.lib.clock import utcnow
from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.serve_app import served
from tests.services.bulk_retry.test_bulk_retry import finish, some, work
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.web.signed_in import visit

CHOSEN = "Dismissed. 2 deliveries stay Failed, and are no longer listed as problems."


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def sign_in(page: Page, app: Flask, portal: str) -> None:
    cookie = visit(app, "support").client.get_cookie("session")
    assert cookie is not None
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": portal}])
    watch(page, portal)


def test_problems_fold_out_beside_a_very_long_name(page: Page, app: Flask, portal: str) -> None:
    make_webhook(name="Payroll", state="off", off_reason="gone", off_at=utcnow())
    for name in ("W" * 120, "Books", "Door"):
        make_delivery(make_webhook(name=name), status="failed", reason="server", code=500)
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries")
    page.get_by_text("2 more problems").click()
    expect(page.get_by_role("button", name="Dismiss 1 that failed: Door")).to_be_visible()
    check_page(page, "log with problems")


def test_a_person_opens_a_problem_and_dismisses_it_by_keyboard(
    page: Page, app: Flask, portal: str
) -> None:
    make_delivery(make_webhook(name="Books"), status="failed", reason="server", code=500)
    sign_in(page, app, portal)
    page.goto(f"{portal}/")
    check_page(page, "start page with a problem")
    page.get_by_role("link", name="Open Books, Server error (500)").click()
    expect(page.get_by_role("list", name="Problems, worst first")).to_contain_text("Books")
    page.get_by_role("button", name="Dismiss").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Dismissed. 1 delivery stays Failed")).to_be_visible()


def test_a_person_follows_what_a_bulk_retry_has_left(page: Page, app: Flask, portal: str) -> None:
    made = some(12, make_webhook(name="W" * 120), reason="server", code=500)
    sign_in(page, app, portal)
    page.goto(f"{portal}/batches")
    check_page(page, "no bulk retries")
    page.goto(f"{portal}/deliveries/retry?all=1&status=failed")
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_text("Looking for what is to be sent")).to_be_visible()
    work()
    for each in made[:10]:
        finish(each, "failed")
    work()
    page.goto(f"{portal}/deliveries")
    under_way = page.get_by_role("list", name="Bulk retries under way")
    expect(under_way).to_contain_text("Interrupted")
    check_page(page, "log with an interrupted bulk retry")
    page.goto(f"{portal}/deliveries/retry?all=1&status=failed")
    expect(page.get_by_text("2 more are in a bulk retry of yours")).to_be_visible()
    check_page(page, "question over what another one has")
    page.goto(f"{portal}/batches")
    check_page(page, "bulk retries")
    page.get_by_role("button", name="Retry the remaining 2").click()
    expect(page.get_by_text("It continues.")).to_be_visible()


def open_log(page: Page, app: Flask, portal: str) -> None:
    """Three that failed, one of them for something else before, in sight of support staff."""
    hook = make_webhook(name="Finance")
    for _ in range(2):
        make_delivery(hook, status="failed", reason="server", code=500)
    made = make_delivery(hook, status="failed", reason="refused", tries=3)
    make_attempt(made, reason="bad_request", code=422)
    make_attempt(made, kind="manual", actor="Sam", reason="refused")
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries?status=attention")


def test_two_are_ticked_and_dismissed_by_keyboard(page: Page, app: Flask, portal: str) -> None:
    open_log(page, app, portal)
    expect(page.get_by_role("button", name="Dismiss selected")).to_be_hidden()
    for number in (1, 2):
        page.get_by_role("checkbox", name="Choose Asset created").nth(number).focus()
        page.keyboard.press("Space")
    check_page(page, "log with ticked rows")
    page.get_by_role("button", name="Dismiss selected").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text(CHOSEN)).to_be_visible()
    expect(page).to_have_url(f"{portal}/deliveries?status=attention")
    expect(page.get_by_role("row")).to_have_count(2)


def test_two_are_dismissed_without_scripts(plain_page: Page, app: Flask, portal: str) -> None:
    open_log(plain_page, app, portal)
    for number in (1, 2):
        plain_page.get_by_role("checkbox", name="Choose Asset created").nth(number).check()
    plain_page.get_by_role("button", name="Dismiss selected").click()
    expect(plain_page.get_by_text(CHOSEN)).to_be_visible()


def test_why_it_failed_before_is_told_whole_and_other_rows_stay_as_they_are(
    page: Page, app: Flask, portal: str
) -> None:
    open_log(page, app, portal)
    told = page.get_by_text("earlier: Content not accepted (422)", exact=True)
    told = told.locator("xpath=ancestor::td").locator("small, .soft")
    is_whole = told.evaluate("each => each.scrollWidth <= each.clientWidth")
    heights = page.locator(".rows tbody tr").evaluate_all(
        "rows => rows.map((row) => row.getBoundingClientRect().height)"
    )
    assert is_whole
    assert heights[1:] == [44, 44]
