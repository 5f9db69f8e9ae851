"""Tests of the log's pages in a real browser: retries, live updates, and use without scripts."""

from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.support.signed_in_page import cookie_of, show_to, sign_in
from tests.support.deliveries import change, free, lease, make_attempt, make_delivery, stored
from tests.support.factories import make_webhook
from tests.web.signed_in import visit

PHASES = {"name": 3.0, "connect": 11.0, "tls": 40.0, "first_byte": 130.0, "total": 143.0}


def test_the_page_follows_a_retry_until_it_is_delivered(
    page: Page, app: Flask, portal: str
) -> None:
    made = make_delivery(status="failed", tries=10)
    make_attempt(made, reason="refused")
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/deliveries/{made}")
    page.get_by_role("button", name="Retry").click()
    state = page.locator(".state .tag")
    expect(state).to_have_text("Retrying")
    page.get_by_text("Technical details").click()
    lease(made)
    expect(page.locator(".verdict")).to_contain_text("Sending to")
    free(made)
    make_attempt(made, kind="manual", outcome="delivered", code=200, phases=PHASES)
    change(made, status="delivered", prior_status=None)
    expect(state).to_have_text("Delivered")
    expect(page.get_by_text("finished after 143 ms")).to_be_visible()
    expect(page.locator("main > [role=status]").last).to_contain_text("Delivered.")


def test_a_row_follows_its_retry_in_place(page: Page, app: Flask, portal: str) -> None:
    made = make_delivery(status="failed", tries=10, reason="refused")
    other = make_delivery(status="failed", asset_tag="AST-00008")
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/deliveries?status=failed")
    page.get_by_role("button", name="Retry Asset created, AST-00007").click()
    line = page.locator(f"#delivery-{made}")
    expect(line).to_contain_text("Queued since")
    page.evaluate("window.notReloaded = true")
    line.get_by_role("checkbox").check()
    make_attempt(made, kind="manual", reason="refused")
    change(made, status="failed", prior_status=None)
    expect(line).to_contain_text("Retried at")
    expect(line).to_contain_text(": connection refused.")
    expect(line.get_by_role("checkbox")).to_be_checked()
    expect(page.locator("[role=status]", has_text="Retried at")).to_have_count(1)
    expect(page.locator(".notice")).to_have_count(0)
    assert page.evaluate("window.notReloaded")
    expect(page.locator(f"#delivery-{other}")).to_contain_text("Failed")


def test_two_retries_in_rows_are_followed_without_leaving_the_page(
    page: Page, app: Flask, portal: str
) -> None:
    first, second = (
        make_delivery(status="failed", tries=10, reason="refused", asset_tag=tag)
        for tag in ("AST-00001", "AST-00002")
    )
    other = make_delivery(status="failed", asset_tag="AST-00003")
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/deliveries?status=failed")
    page.evaluate("window.notReloaded = true")
    page.locator(f"#delivery-{other}").get_by_role("checkbox").check()
    for made, tag in ((first, "AST-00001"), (second, "AST-00002")):
        page.get_by_role("button", name=f"Retry Asset created, {tag}").click()
        expect(page.locator(f"#delivery-{made}")).to_contain_text("Queued since")
    # The pressed button is gone, so the focus stays in its row.
    expect(page.locator(f"#delivery-{second} [data-keeps-focus]")).to_be_focused()
    for made in (first, second):
        make_attempt(made, kind="manual", reason="refused")
        change(made, status="failed", prior_status=None)
        expect(page.locator(f"#delivery-{made}")).to_contain_text(": connection refused.")
        expect(page.locator("[role=status]", has_text="Retried at").first).to_be_attached()
    expect(page.locator(f"#delivery-{other}").get_by_role("checkbox")).to_be_checked()
    assert page.evaluate("window.notReloaded")
    assert page.url.endswith(f"retried={second}#delivery-{second}")


def test_a_refused_retry_in_a_row_says_why(page: Page, app: Flask, portal: str) -> None:
    made = make_delivery(status="failed", tries=10, reason="refused")
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/deliveries?status=failed")
    change(made, status="queued")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".flashes .notice")).to_contain_text("already queued")


def test_the_browser_submits_the_form_if_the_script_has_no_network(
    page: Page, app: Flask, portal: str
) -> None:
    made = make_delivery(status="failed", tries=10, reason="refused")
    sign_in(page, app, portal, "support")
    page.goto(f"{portal}/deliveries?status=failed")
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('away')); }")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(f"#delivery-{made}")).to_contain_text("Queued since")
    assert f"retried={made}" in page.url


def test_retry_and_dismiss_work_without_scripts(plain_page: Page, app: Flask, portal: str) -> None:
    made = make_delivery(status="failed")
    sign_in(plain_page, app, portal, "support")
    plain_page.goto(f"{portal}/deliveries?status=failed")
    plain_page.get_by_role("button", name="Retry Asset created").click()
    expect(plain_page.get_by_role("row").nth(1)).to_contain_text("Queued since")
    plain_page.get_by_role("link", name="Refresh").click()
    expect(plain_page.get_by_role("row").nth(1)).to_contain_text("Queued since")
    assert stored(made)["status"] == "retrying"
    plain_page.get_by_role("row").nth(1).get_by_role(
        "link", name="Asset created", exact=True
    ).click()
    expect(plain_page.get_by_role("link", name="Refresh this page")).to_be_visible()
    plain_page.get_by_role("link", name="Dismiss").click()
    plain_page.get_by_role("button", name="Dismiss").click()
    expect(plain_page.locator(".state .tag")).to_have_text("Dismissed")


def test_a_live_update_does_not_break_a_click(page: Page, app: Flask, portal: str) -> None:
    waiting = make_delivery(make_webhook(), status="queued")
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries/{waiting}")
    button = page.get_by_role("link", name="Dismiss")
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    # The next poll returns a different text, so the page would replace its content.
    change(waiting, status="retrying", reason="server", code=500, tries=1)
    with page.expect_response(lambda answer: "/live" in answer.url):
        pass
    page.wait_for_timeout(200)
    expect(page.get_by_text("1 of 10 attempts made")).to_have_count(0)
    page.mouse.up()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Dismiss")


def test_unchanged_content_is_not_replaced(page: Page, app: Flask, portal: str) -> None:
    waiting = make_delivery(make_webhook(), status="queued")
    sign_in(page, app, portal)
    page.goto(f"{portal}/deliveries/{waiting}")
    for _ in range(2):
        with page.expect_response(lambda answer: "/live" in answer.url):
            pass
    page.wait_for_timeout(200)
    page.get_by_role("link", name="Dismiss").evaluate("button => { button.dataset.mine = 'yes'; }")
    with page.expect_response(lambda answer: "/live" in answer.url):
        pass
    page.wait_for_timeout(200)
    assert page.get_by_role("link", name="Dismiss").get_attribute("data-mine") == "yes"


def test_a_page_stops_updating_after_sign_out_and_says_why(
    page: Page, app: Flask, portal: str
) -> None:
    pages = visit(app, "support")
    show_to(page, portal, cookie_of(pages))
    delivery = make_delivery()
    page.goto(f"{portal}/deliveries/{delivery}")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    # Signing out in another tab makes this page's cookie invalid.
    pages.submit(pages.get("/account").form("/sign-out"))
    notice = page.get_by_text("You’re signed out, so this page has stopped updating")
    expect(notice.first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    before = len(asked)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("link", name="Reload page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert not [url for url in asked[before:] if url.endswith("/live")]
