"""Tests of the main tasks without scripts and by keyboard alone, on a real portal and receiver."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.engine.events.catalogue import CATALOGUE
from tests.browser.conftest import PATIENCE_MS
from tests.browser.support import user_steps
from tests.browser.support.running_portal import (
    FreshPortal,
    Outside,
    fresh_portal,
    running_receiver,
)

SECRET = "what only the two of us know"
MOST_TABS = 80
NAME_OF = "each => each.labels?.[0]?.textContent ?? each.textContent"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshPortal]:
    with fresh_portal(tmp_path_factory.mktemp("portal")) as portal:
        yield portal


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running_receiver(tmp_path_factory.mktemp("outside"), SECRET) as outside:
        yield outside


@pytest.fixture(scope="module")
def plain_desk(chromium: Browser, portal: FreshPortal) -> Iterator[Page]:
    """Yield a page without scripts that is signed in as the first administrator."""
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    user_steps.set_up(page, portal)
    yield page
    context.close()


def test_a_webhook_with_headers_is_added(plain_desk: Page, outside: Outside) -> None:
    user_steps.open_new_webhook(plain_desk)
    expect(plain_desk.get_by_role("button", name="Select all")).to_have_count(0)
    for _ in range(3):
        user_steps.press(plain_desk, "Add header")
    names, values = plain_desk.get_by_label("Header name"), plain_desk.get_by_label("Value")
    for number, (name, value) in enumerate(
        [("X-Tenant", "4711"), ("X-Spare", "x"), ("X-Key", "k")]
    ):
        names.nth(number).fill(name)
        values.nth(number).fill(value)
    plain_desk.get_by_role("button", name="Remove row 2").click()
    expect(names).to_have_count(2)
    events = ["Asset created", "Asset changed", "Asset deleted"]
    user_steps.fill_webhook(plain_desk, "Sync to ERP", outside.url, events, SECRET)
    user_steps.press(plain_desk, "Save webhook")
    main = plain_desk.get_by_role("main")
    expect(main).to_contain_text(f"3 of {len(CATALOGUE)}")
    expect(main).to_contain_text("X-Tenant, X-Key")


def test_the_code_for_a_receiver_is_shown_in_the_chosen_language(plain_desk: Page) -> None:
    plain_desk.get_by_role("link", name="Receiver setup").click()
    expect(plain_desk.get_by_role("radio")).to_have_count(7)
    languages, code = plain_desk.get_by_role("radio"), plain_desk.locator("pre:visible")
    for number in range(languages.count()):
        languages.nth(number).check()
        expect(code).to_have_count(1)
        expect(code).to_have_id(f"code-{languages.nth(number).get_attribute('value')}")


def test_the_message_of_a_new_asset_arrives(
    plain_desk: Page, portal: FreshPortal, outside: Outside
) -> None:
    user_steps.add_asset(plain_desk, portal, "Projector")
    (message,) = outside.wait_for(1)
    assert message.signature_ok
    assert (message.header("X-Tenant"), message.header("X-Key")) == ("4711", "k")
    assert message.header("X-Spare") is None
    user_steps.log_saying(plain_desk, portal, 1, "Delivered")


def test_a_webhook_is_turned_off_until_a_morning_and_then_for_longer(
    plain_desk: Page,
) -> None:
    main = plain_desk.get_by_role("main")
    plain_desk.get_by_role("navigation", name="Main").get_by_role("link", name="Webhooks").click()
    main.get_by_role("link", name="Sync to ERP", exact=True).click()
    for link, name, press, said in (
        ("Turn off…", "Tomorrow", "Turn off", ", 08:00. We’ll turn it on then"),
        ("Stay off until…", "Someone turns it on", "Save", "New events are on hold for 30 days"),
    ):
        main.get_by_text("More", exact=True).click()
        main.get_by_role("link", name=link).click()
        main.get_by_role("radio", name=name).check()
        # The form hides the time that was set before, and still sends it.
        expect(main.get_by_label("Date and time")).to_be_hidden()
        user_steps.press(plain_desk, press)
        expect(main).to_contain_text(said)
    main.get_by_role("button", name="Turn on").first.click()
    expect(plain_desk.get_by_text("Sync to ERP turned on.")).to_be_visible()


def test_a_long_note_is_folded_after_four_lines_and_opened(plain_desk: Page) -> None:
    main = plain_desk.get_by_role("main")
    plain_desk.get_by_role("navigation", name="Main").get_by_role("link", name="Webhooks").click()
    main.get_by_role("link", name="Sync to ERP", exact=True).click()
    main.get_by_text("More", exact=True).click()
    main.get_by_role("link", name="Add note").click()
    main.get_by_label("Note").fill("\n".join(f"Line {number}" for number in range(12)))
    user_steps.press(plain_desk, "Save note")
    text, lines = main.locator(".folded > p"), "each => each.clientHeight / each.scrollHeight"
    assert text.evaluate(lines) == pytest.approx(4 / 12, abs=0.05)
    main.get_by_text("Show all").click()
    assert text.evaluate(lines) == 1
    expect(main.get_by_text("Show less")).to_be_visible()


def test_a_chat_is_connected_from_the_gallery(plain_desk: Page, outside: Outside) -> None:
    user_steps.open_new_webhook(plain_desk, "Slack")
    user_steps.fill_webhook(plain_desk, "IT channel", outside.url, ["Asset lost"])
    user_steps.press(plain_desk, "Save webhook")
    settings = plain_desk.get_by_role("complementary")
    expect(settings).to_contain_text("FormatSlack")
    expect(settings).to_contain_text("Not made by a bulk action or an import")


@pytest.mark.usefixtures("plain_desk")  # it creates the first administrator
def test_a_webhook_is_added_by_keyboard_alone(
    page: Page, portal: FreshPortal, outside: Outside
) -> None:
    user_steps.sign_in(page, portal)
    page.goto(f"{portal.url}/settings/webhooks")
    tab_to(page, "Add webhook")
    page.keyboard.press("Enter")
    tab_to(page, "My own program")
    page.keyboard.press("Enter")
    page.wait_for_url("**/new?to=program")
    tab_to(page, "Webhook name")
    page.keyboard.type("Helpdesk")
    tab_to(page, "Webhook URL")
    page.keyboard.type(outside.url)
    tab_to(page, "Asset lifecycle")
    page.keyboard.press("Enter")
    tab_to(page, "Select all in Asset lifecycle")
    page.keyboard.press("Enter")
    tab_to(page, "Asset deleted")
    page.keyboard.press("Space")
    tab_to(page, "Create one")
    page.keyboard.press("ArrowDown")
    tab_to(page, "Your secret key")
    page.keyboard.type(SECRET)
    tab_to(page, "Add header")
    page.keyboard.press("Enter")
    page.keyboard.type("X-Tenant")
    page.keyboard.press("Tab")
    page.keyboard.type("4711")
    tab_to(page, "Save webhook")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Helpdesk")
    expect(page.get_by_role("main")).to_contain_text(f"2 of {len(CATALOGUE)}")
    expect(page.get_by_role("main")).to_contain_text("X-Tenant")


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control with this name has the focus, which must be visible."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and name in focused.evaluate(NAME_OF):
            assert focused.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
            return
    pytest.fail(f"Tab never reached “{name}”")
