"""The life of one asset in a real browser: lent, late, back, moved, lost, broken, disposed of."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.deliveries import Event
from portal.models.holdings import Assignment
from portal.services.unit import session, writing
from tests.browser.a11y import check_page, watch
from tests.browser.serving import served
from tests.browser.walking import press
from tests.factories import make_asset, make_location, make_user

pytestmark = pytest.mark.parametrize(
    "database_kind", [pytest.param("sqlite", id="sqlite")], indirect=True, scope="session"
)


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def sign_in(page: Page, portal: str) -> None:
    person = make_user("admin", name="Ana Gruber")
    watch(page, portal)
    page.goto(f"{portal}/sign-in")
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    press(page, "Sign in")


def act(page: Page, button: str, submit: str | None = None, **typed: str) -> None:
    """Press an action's button, in front or under More; fill in its form by labels; send it."""
    link = page.locator(".page-actions").get_by_role("link", name=button, exact=True)
    if not link.is_visible():
        page.get_by_text("More actions", exact=True).click()
    link.click()
    for name, value in typed.items():
        control = page.locator(f"[name={name}]")
        is_choice = control.evaluate("each => each.tagName") == "SELECT"
        control.select_option(label=value) if is_choice else control.fill(value)
    press(page, submit or button)


def says(page: Page, words: str) -> None:
    expect(page.locator("main")).to_contain_text(words)


def make_late() -> None:
    """Three days pass, as far as the loan is concerned."""
    ago = utcnow() - timedelta(days=3, hours=1)
    with writing() as current:
        current.execute(update(Assignment).values(started_at=ago, due_at=ago + timedelta(hours=1)))


def test_an_asset_lives_through_everything(page: Page, app: Flask, portal: str) -> None:
    asset_id = make_asset("Canon EOS R7", location_id=make_location("Studio"))
    make_location("Store")
    sign_in(page, portal)
    page.goto(f"{portal}/staff")
    page.get_by_role("link", name="Add a person").first.click()
    page.get_by_label("Name", exact=True).fill("Maria Lopez")
    page.get_by_label("E-mail address").fill("maria@example.com")
    press(page, "Save person")
    says(page, "Has nothing now.")

    page.goto(f"{portal}/assets/{asset_id}")
    says(page, "Free to be given out. It is at Studio.")
    maria = "Maria Lopez (maria@example.com)"
    act(page, "Check out", staff_id=maria, due_at="2099-01-31T16:00", purpose="Trade fair")
    says(page, "AST-00001 is lent to Maria Lopez.")
    make_late()
    page.reload()
    says(page, "3 days late")
    expect(page.locator(".state")).to_contain_text("Overdue")
    check_page(page, "an asset that is late")
    act(page, "Check in", condition_in="Fair", location_id="Store")
    says(page, "Free to be given out. It is at Store.")
    act(page, "Transfer", location_id="Studio", reason="Needed there")
    act(page, "Report lost", description="It was on the table")
    says(page, "“It was on the table”")
    act(page, "Mark as found")
    act(page, "Report broken", description="It fell")
    act(page, "Send to warranty", problem="No picture", supplier="Northwind")
    says(page, "At Northwind for a warranty claim.")
    act(page, "Receive back")
    act(page, "Allocate", staff_id=maria)
    says(page, "With Maria Lopez since")
    act(page, "Take back")
    dispose(page)
    assert told() == [
        *("created", "checked_out", "checked_in", "transferred", "lost", "updated", "broken"),
        *("warranty", "updated", "allocated", "revoked", "liquidated", "updated"),
    ]


def dispose(page: Page) -> None:
    """Sell it, then find out that it was the wrong one."""
    page.get_by_text("More actions", exact=True).click()
    page.get_by_role("link", name="Dispose of it", exact=True).click()
    page.get_by_label("Sold", exact=True).check()
    press(page, "Dispose of it")
    says(page, "Sold on ")
    act(page, "Undo the disposal")
    says(page, "Free to be given out.")


def told() -> list[str]:
    session().rollback()
    events = session().scalars(select(Event.event).order_by(Event.id))
    return [event.removeprefix("asset.") for event in events]


def test_an_action_is_done_with_the_keyboard_alone(page: Page, app: Flask, portal: str) -> None:
    asset_id = make_asset("Canon EOS R7")
    sign_in(page, portal)
    page.goto(f"{portal}/assets/{asset_id}/report-lost")
    page.get_by_label("What happened").focus()
    page.keyboard.type("Left on the train")
    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.textContent.trim()") == "Report lost":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    says(page, "AST-00001 is reported as lost.")
    page.wait_for_load_state("networkidle")  # Escape is the scripts' business
    more = page.locator(".more-actions summary")
    more.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".more-panel")).to_contain_text("It is lost. Report it as found first.")
    page.keyboard.press("Escape")
    expect(page.locator(".more-panel")).to_be_hidden()
