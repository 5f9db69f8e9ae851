"""Tests of an asset's whole life in a real browser, and of an action by keyboard."""

from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from portal.engine.events.catalogue import CATALOGUE, event_type
from portal.lib.clock import utcnow
from portal.models.assignments import Assignment
from portal.models.deliveries import Event
from portal.services.core.unit_of_work import session, writing
from tests.browser.support.accessibility import watch
from tests.browser.support.user_steps import press
from tests.support.factories import make_asset, make_location, make_user, make_webhook


def sign_in(page: Page, portal: str) -> None:
    person = make_user("admin", name="Ana Gruber")
    watch(page, portal)
    page.goto(f"{portal}/sign-in")
    page.get_by_label("Email address").fill(person.email)
    page.get_by_label("Password", exact=True).fill(person.password)
    press(page, "Sign in")


def act(page: Page, button: str, submit: str | None = None, **typed: str) -> None:
    """Open an action, directly or under More, fill in its form, and submit it."""
    link = page.locator(".page-actions").get_by_role("link", name=button, exact=True)
    if not link.is_visible():
        page.get_by_text("More", exact=True).click()
    link.click()
    for name, value in typed.items():
        control = page.locator(f"[name={name}]")
        if control.count() > 1:
            page.get_by_label(value, exact=True).check()
            continue
        is_choice = control.evaluate("each => each.tagName") == "SELECT"
        control.select_option(label=value) if is_choice else control.fill(value)
    press(page, submit or button)


def says(page: Page, words: str) -> None:
    expect(page.locator("main")).to_contain_text(words)


def make_late() -> None:
    """Make the loan three days late."""
    ago = utcnow() - timedelta(days=3, hours=1)
    with writing() as current:
        current.execute(update(Assignment).values(started_at=ago, due_at=ago + timedelta(hours=1)))


def add_maria(page: Page, portal: str) -> None:
    page.goto(f"{portal}/staff")
    page.get_by_role("link", name="Add person").first.click()
    page.get_by_label("Name", exact=True).fill("Maria Lopez")
    page.get_by_label("Email address").fill("maria@example.com")
    press(page, "Save person")
    says(page, "Has no assets.")


def add_camera(page: Page, portal: str) -> None:
    page.goto(f"{portal}/assets")
    page.get_by_role("link", name="Add asset").first.click()
    page.get_by_label("Name", exact=True).fill("Canon EOS R7")
    page.get_by_label("Location").select_option(label="Studio")
    expect(page.locator("main")).to_contain_text("This will notify 1 webhook")
    press(page, "Save asset")
    says(page, "Ready to check out or allocate. It’s at Studio.")


MARIA = "Maria Lopez (maria@example.com)"


def reserve(page: Page) -> None:
    """Request a reservation from now on, and approve it."""
    now = utcnow()
    begins, ends = now - timedelta(hours=1), now + timedelta(days=9)
    typed = {"starts_at": f"{begins:%Y-%m-%dT%H:%M}", "ends_at": f"{ends:%Y-%m-%dT%H:%M}"}
    act(page, "Reserve", "Request reservation", staff_id=MARIA, **typed)
    says(page, "Requested a reservation of AST-00001. It’s waiting for approval.")
    says(page, "Maria Lopez (pending)")
    page.get_by_role("link", name="Approve for Maria Lopez").click()
    press(page, "Approve reservation")
    says(page, "Approved AST-00001’s reservation.")
    expect(page.locator(".state")).to_contain_text("Reserved")


def lend(page: Page) -> None:
    """Check out the reserved asset, and check it in late."""
    act(page, "Check out", staff_id=MARIA, purpose="Trade fair")  # for a week, which is preselected
    says(page, "Checked out AST-00001 to Maria Lopez, due ")
    open_tab(page, "Reservations")
    says(page, "Picked up")
    make_late()
    page.reload()
    says(page, "3 days late")
    says(page, "Maria Lopez was due to return it 3 days ago.")
    expect(page.locator(".state")).to_contain_text("Overdue")
    act(page, "Check in", condition_in="Fair", location_id="Store")
    says(page, "Ready to check out or allocate. It’s at Store.")


def maintain(page: Page) -> None:
    due_on = f"{utcnow() + timedelta(days=2):%Y-%m-%d}"
    act(page, "Schedule maintenance", title="Clean the sensor", due_on=due_on)
    says(page, "Scheduled maintenance for AST-00001.")
    expect(page.locator(".state")).to_contain_text("Maintenance due")
    page.get_by_role("link", name="Complete “Clean the sensor”").click()
    page.get_by_label("No issues found").check()
    press(page, "Complete maintenance")
    says(page, "Completed AST-00001’s maintenance.")
    expect(page.get_by_text("Earlier maintenance")).to_be_visible()


def open_tab(page: Page, words: str) -> None:
    bar = page.get_by_role("navigation", name="This asset")
    bar.get_by_role("link", name=words).click()
    expect(bar.locator("[aria-current=page]")).to_contain_text(words)


def test_an_asset_goes_through_its_whole_life(page: Page, app: Flask, portal: str) -> None:
    make_location("Studio")
    make_location("Store")
    make_webhook(events=[str(event.value) for event in CATALOGUE])
    sign_in(page, portal)
    add_maria(page, portal)
    add_camera(page, portal)
    reserve(page)
    lend(page)
    maintain(page)
    act(page, "Move", location_id="Studio", reason="Needed there")
    says(page, "Location: Store → Studio")
    act(page, "Report lost", description="It was on the table")
    says(page, "“It was on the table”")
    act(page, "Mark as found")
    says(page, "Marked AST-00001 as found.")
    act(page, "Report broken", description="It fell")
    says(page, "“It fell”")
    act(page, "Send for warranty repair", problem="No picture", supplier="Northwind")
    says(page, "At Northwind for warranty repair.")
    act(page, "Receive back")
    says(page, "Received AST-00001 back.")
    act(page, "Allocate", staff_id=MARIA)
    says(page, "Allocated to Maria Lopez since")
    act(page, "Revoke")
    says(page, "Revoked AST-00001.")
    dispose(page)
    names = [
        *("created", "reserved", "reservation_approved", "checked_out", "checked_in"),
        *("maintenance_scheduled", "maintenance_completed", "transferred", "lost", "updated"),
        *("broken", "warranty", "updated", "allocated", "revoked", "liquidated", "updated"),
    ]
    assert told() == names
    assert each_was_sent(page) == [event_type(f"asset.{name}").name for name in reversed(names)]


def each_was_sent(page: Page) -> list[str]:
    """Return the events on the asset's Deliveries tab, newest first."""
    open_tab(page, "Deliveries")
    texts = page.locator("tbody th.l-hook a").all_inner_texts()
    return [text.partition(",")[0] for text in texts]


def dispose(page: Page) -> None:
    """Dispose of the asset as sold, and undo that."""
    page.get_by_text("More", exact=True).click()
    page.get_by_role("link", name="Dispose of asset", exact=True).click()
    page.get_by_label("Sold", exact=True).check()
    press(page, "Dispose of asset")
    says(page, "Sold on ")
    act(page, "Undo disposal")
    says(page, "Ready to check out or allocate.")


def told() -> list[str]:
    session().rollback()
    events = session().scalars(select(Event.event).order_by(Event.id))
    return [event.removeprefix("asset.") for event in events]


def tab_to(page: Page, words: str) -> None:
    """Press Tab until the text or the label of the focused element starts with `words`."""
    called = """() => { const it = document.activeElement;
      return [it.textContent, it.labels?.[0]?.textContent].map((t) => (t ?? "").trim()) }"""
    for _ in range(60):
        page.keyboard.press("Tab")
        if any(text.startswith(words) for text in page.evaluate(called)):
            return
    pytest.fail(f"{words} cannot be reached with Tab")


def test_an_action_is_done_by_keyboard_alone(page: Page, app: Flask, portal: str) -> None:
    asset_id = make_asset("Canon EOS R7")
    sign_in(page, portal)
    page.goto(f"{portal}/assets/{asset_id}")
    page.wait_for_load_state("networkidle")  # scripts handle Escape
    tab_to(page, "More")
    page.keyboard.press("Enter")
    expect(page.locator(".page-actions .drop-panel")).to_contain_text("It isn’t lost")
    page.keyboard.press("Escape")
    expect(page.locator(".page-actions .drop-panel")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator(".page-actions .drop-panel")).to_be_visible()
    tab_to(page, "Report lost")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("lost")
    page.wait_for_load_state("networkidle")
    tab_to(page, "What happened")
    page.keyboard.type("Left on the train")
    tab_to(page, "Report lost")
    page.keyboard.press("Enter")
    says(page, "Reported AST-00001 as lost.")
    page.wait_for_load_state("networkidle")
    tab_to(page, "Timeline")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    says(page, "Left on the train")
