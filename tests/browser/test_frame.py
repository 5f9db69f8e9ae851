"""Tests of the page frame and its script modules in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.serve_app import served
from tests.browser.support.user_steps import open_events
from tests.web.component_gallery import make_gallery

NEW = "/settings/webhooks/new"


@pytest.fixture(scope="module")
def gallery() -> Iterator[str]:
    with served(make_gallery()) as url:
        yield url


@pytest.fixture
def form(page: Page, gallery: str) -> Page:
    page.goto(gallery + NEW)
    return page


def test_every_component_is_accessible(page: Page, gallery: str) -> None:
    watch(page, gallery)
    for path in ("/deliveries/1", "/settings/webhooks/1/delete", "/broken/500"):
        page.goto(gallery + path)
        check_page(page, path)


def test_a_form_with_errors_is_accessible(form: Page, gallery: str) -> None:
    watch(form, gallery)
    form.get_by_role("button", name="Save webhook").click()
    expect(form).to_have_title("Error: New webhook · Asset register")
    expect(form.locator(".error-summary")).to_be_focused()
    form.get_by_label("Use my own").check()
    check_page(form, "form with mistakes")


def test_a_link_in_the_error_summary_focuses_its_control(form: Page) -> None:
    form.get_by_role("button", name="Save webhook").click()
    form.get_by_role("link", name="Choose at least one event").press("Enter")
    expect(form.locator("#events-0")).to_be_focused()


def test_select_all_updates_the_count(form: Page) -> None:
    count = form.locator("[data-count]")
    open_events(form)
    expect(count).to_have_text("0 of 5 selected")
    form.get_by_role("button", name="Select all in Asset lifecycle").click()
    expect(count).to_have_text("3 of 5 selected")
    form.get_by_role("button", name="Select all", exact=True).click()
    expect(count).to_have_text("5 of 5 selected")
    form.get_by_role("button", name="Clear all in Maintenance and transfers").click()
    form.get_by_label("Asset created").uncheck()
    expect(count).to_have_text("2 of 5 selected")


def test_rows_are_added_and_removed_in_place(form: Page) -> None:
    form.get_by_role("button", name="Add header").click()
    expect(form.locator("[name='headers-1-name']")).to_be_focused()
    form.get_by_role("button", name="Remove row 1").click()
    expect(form.locator("[data-row]")).to_have_count(1)
    form.get_by_role("button", name="Add header").click()
    expect(form.locator("[name='headers-2-name']")).to_be_focused()


def test_enter_saves_although_other_buttons_come_first(form: Page) -> None:
    form.get_by_label("Webhook name").press("Enter")
    expect(form.locator(".error-summary")).to_be_visible()
    expect(form.locator("[data-row]")).to_have_count(1)


def test_a_choice_reveals_its_field(form: Page) -> None:
    secret = form.get_by_label("Your secret key")
    expect(secret).to_be_hidden()
    form.get_by_label("Use my own").check()
    expect(secret).to_be_visible()


def test_a_double_click_sends_once(page: Page, gallery: str) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto(f"{gallery}/deliveries/1")
    page.get_by_role("button", name="Retry").dblclick()
    expect(page.get_by_text("Retry queued.")).to_be_visible()
    assert sent.count("POST") == 1


def test_a_live_part_updates_and_announces_the_result(page: Page, gallery: str) -> None:
    page.goto(f"{gallery}/deliveries/1")
    expect(page.get_by_text("Delivered, after all")).to_be_visible()
    expect(page.locator("p[role=status]")).to_have_text("Delivered")


def test_the_account_menu_closes_with_escape(page: Page, gallery: str) -> None:
    page.goto(f"{gallery}/deliveries")
    page.locator(".account summary").press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.locator(".account summary")).to_be_focused()


def test_the_first_tab_skips_to_the_content(page: Page, gallery: str) -> None:
    page.goto(f"{gallery}/deliveries")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_form_works_without_scripts(plain_page: Page, gallery: str) -> None:
    plain_page.goto(gallery + NEW)
    expect(plain_page.get_by_role("button", name="Select all")).to_have_count(0)
    plain_page.get_by_role("button", name="Add header").click()
    expect(plain_page.locator("[data-row]")).to_have_count(2)
    plain_page.get_by_label("Webhook name").fill("Sync")
    plain_page.get_by_label("Webhook URL").fill("https://a.example")
    open_events(plain_page)
    plain_page.get_by_label("Asset created").check()
    plain_page.get_by_label("Location").select_option("1")
    for row in (0, 1):
        plain_page.locator(f"[name='headers-{row}-name']").fill(f"X-Key-{row}")
    plain_page.get_by_role("button", name="Save webhook").click()
    expect(plain_page.get_by_text("Webhook saved.")).to_be_visible()


def test_on_a_phone_the_menu_opens_without_scripts(plain_page: Page, gallery: str) -> None:
    plain_page.set_viewport_size({"width": 390, "height": 800})
    plain_page.goto(f"{gallery}/deliveries")
    link = plain_page.get_by_role("navigation", name="Main").get_by_role("link", name="Webhooks")
    expect(link).to_be_hidden()
    plain_page.locator(".menu summary").press("Enter")
    expect(link).to_be_in_viewport()
    plain_page.keyboard.press("Tab")
    expect(plain_page.get_by_role("link", name="Overview", exact=True)).to_be_focused()


def test_the_trial_label_explains_itself_when_pressed(plain_page: Page, gallery: str) -> None:
    plain_page.goto(f"{gallery}/deliveries")
    words = plain_page.get_by_text("Don’t use it for real work.")
    expect(words).to_be_hidden()
    plain_page.get_by_text("Trial", exact=True).click()
    expect(words).to_be_in_viewport()


def test_the_chosen_color_scheme_overrides_the_system(plain_page: Page, gallery: str) -> None:
    def ground() -> str:
        plain_page.wait_for_load_state()
        color = "getComputedStyle(document.body).backgroundColor"
        return str(plain_page.evaluate(color))

    def choose(words: str) -> None:
        plain_page.locator(".account summary").click()
        plain_page.get_by_role("button", name=words).click()

    plain_page.emulate_media(color_scheme="light")
    plain_page.goto(f"{gallery}/deliveries")
    day = ground()
    choose("Dark")
    night = ground()
    assert night != day
    plain_page.emulate_media(color_scheme="dark")
    choose("Light")
    assert ground() == day
    choose("System")
    assert ground() == night
    plain_page.emulate_media(media="print")
    assert ground() == "rgb(255, 255, 255)"
