"""Steps that a person takes in the portal, with or without scripts."""

from collections.abc import Iterable, Sequence

from playwright.sync_api import Locator, Page, expect

from tests.browser.support.running_portal import FreshPortal

PASSWORD = "three plain words and one more"
NAME, EMAIL = "Ana Gruber", "ana@example.com"


def set_up(page: Page, portal: FreshPortal) -> None:
    """Become the first administrator through the setup link."""
    page.goto(portal.link)
    page.get_by_label("Your name").fill(NAME)
    page.get_by_label("Email address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Set up the portal").click()
    expect(page.get_by_text(f"Welcome, {NAME}.")).to_be_visible()


def sign_in(page: Page, portal: FreshPortal) -> None:
    """Sign in as the administrator that `set_up` created."""
    page.goto(f"{portal.url}/sign-in")
    page.get_by_label("Email address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def fill_webhook(
    page: Page, name: str, url: str, events: Iterable[str], secret: str | None = None
) -> None:
    """Fill in the form for a new webhook. Without a secret, the portal generates one."""
    page.get_by_label("Webhook name").fill(name)
    page.get_by_label("Webhook URL").fill(url)
    open_events(page)
    for event in events:
        page.get_by_role("checkbox", name=event).check()
    if secret is not None:
        page.get_by_label("Use my own").check()
        page.get_by_label("Your secret key").fill(secret)


def open_events(page: Page) -> None:
    """Unfold every closed group of events."""
    for group in page.locator(".choice-group").all():
        _unfold(group)


def _unfold(details: Locator) -> None:
    if details.get_attribute("open") is None:
        details.locator("summary").first.click()


def open_new_webhook(page: Page, to: str = "My own program") -> None:
    """Open the form for this product through the pages' links."""
    page.get_by_role("link", name="Webhooks", exact=True).first.click()
    page.get_by_role("link", name="Add webhook").first.click()
    page.get_by_role("link", name=to).first.click()


def add_asset(page: Page, portal: FreshPortal, name: str) -> None:
    """Add an asset, which opens its page."""
    page.goto(f"{portal.url}/assets")
    page.get_by_role("link", name="Add asset").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    press(page, "Save asset")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def edit_asset(page: Page, serial_number: str) -> None:
    """Change the serial number of the asset whose page is open."""
    page.get_by_role("link", name="Edit", exact=True).first.click()
    page.get_by_label("Serial number").fill(serial_number)
    press(page, "Save asset")
    expect(page.get_by_role("link", name="Edit", exact=True).first).to_be_visible()


def press(page: Page, name: str) -> None:
    """Press the button with this name."""
    page.get_by_role("button", name=name, exact=True).click()


def log_rows(page: Page, portal: FreshPortal) -> Locator:
    """Open the log and return its rows."""
    page.goto(f"{portal.url}/deliveries")
    return page.locator(".register tbody tr")


def log_saying(page: Page, portal: FreshPortal, count: int, words: str) -> Sequence[str]:
    """Return the texts of the log's rows once there are `count` and each contains `words`.

    Polls, because a result is stored a moment after the receiver's response.
    """
    for _ in range(80):
        lines = texts(log_rows(page, portal))
        if len(lines) == count and all(words in text for text in lines):
            return lines
        page.wait_for_timeout(250)
    raise AssertionError(f"the log still says {lines}")


def texts(rows: Locator) -> Sequence[str]:
    """Return the text of each row as one line."""
    return [" ".join(text.split()) for text in rows.all_inner_texts()]
