"""Every page that exists, empty, filled and with mistakes: read from the application's own map.

A page that is added later is visited by itself; if its address needs something that
`tests.browser.support.sample_register` does not make, the test says so.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.people import Role, UserSession
from portal.services.core.unit_of_work import writing
from portal.services.people import invitations, one_time_links, password_resets
from portal.web.frame.access import PUBLIC, permission_of
from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.page_list import NO_PAGE, address, readable, rules
from tests.browser.support.sample_register import Filled, fill
from tests.browser.support.serve_app import served
from tests.support.database.kept_filling import filled_once
from tests.support.factories import Person, make_user
from tests.support.pages import Pages

# Many pages in one test, on a machine that may be busy.
pytestmark = pytest.mark.timeout(300)
# Where nothing can be wrong in what a person enters.
NO_MISTAKES = {
    "erasure.staff": "no form while something is reserved",
    "assets.delete": "only a reason, which may stay empty",
    "import_match.match": "choices that are answered already",
    "people.show": "a choice that cannot be empty",
    "webhook_held.choose": "ticks, and a choice that cannot be empty",
}
TYPED = (
    ":is(input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea):visible"
)
ENTERED = "main form.form[data-once] :is(input:not([type=hidden]), textarea)"


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


def _filled() -> tuple[Person, Filled]:
    person = make_user(name="Ana Gruber")
    return person, fill(person)


def may_err(endpoint: str) -> bool:
    """Whether its form, emptied, is refused. Of many actions everything asked is optional."""
    return endpoint not in NO_MISTAKES and not endpoint.startswith("actions.")


def be(page: Page, app: Flask, portal: str, person: Person) -> None:
    """Carry the session of this person, who signed in elsewhere."""
    pages = Pages(app)
    pages.sign_in(person.email, person.password)
    cookie = pages.client.get_cookie("session")
    assert cookie is not None
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": portal}])
    watch(page, portal)


def look(page: Page, url: str, name: str) -> None:
    """Open it and check it, what is folded away included."""
    answer = page.goto(url)
    assert answer, name
    # 409: an action that the asset does not allow now; the page says why.
    assert answer.status in {200, 409}, f"{name}: {answer.status}"
    unfold(page)
    check_page(page, name)


def unfold(page: Page) -> None:
    """Open whatever is folded away."""
    page.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")


def test_what_is_not_visited_exists(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {*NO_PAGE, *NO_MISTAKES} <= endpoints


def test_every_door_can_be_used_by_everyone(page: Page, app: Flask, portal: str) -> None:
    watch(page, portal)
    setup = one_time_links.setup_link()
    assert setup
    token = setup.partition("=")[2]
    look(page, f"{portal}/setup?token={token}", "set-up")
    mistake(page, "set-up with mistakes")
    link = invitations.invitation_link(make_user().actor, "cleo@example.com", Role.SUPPORT)
    look(page, f"{portal}/invitation?token={link.partition('=')[2]}", "invitation")
    mistake(page, "invitation with mistakes")
    link = password_resets.offer_by_email(make_user().actor, make_user().email)
    look(page, f"{portal}/new-password?token={link.partition('=')[2]}", "new password")
    mistake(page, "new password with mistakes")
    look(page, f"{portal}/sign-in", "sign-in")
    mistake(page, "sign-in with mistakes")
    page.goto(f"{portal}/setup?token={token}")
    check_page(page, "dead link")
    doors = {rule.endpoint for rule in rules(app) if permission_of(rule.endpoint) == PUBLIC}
    known = {"joining.setup", "joining.invitation", "new_passwords.choose", "auth.sign_in"}
    assert doors == known


def test_the_question_who_one_is_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    be(page, app, portal, make_user())
    with writing() as current:
        current.execute(update(UserSession).values(confirmed_at=utcnow() - timedelta(minutes=16)))
    look(page, f"{portal}/settings/people/invite", "confirmation")
    expect(page.locator("h1")).to_have_text("Confirm it is you")
    mistake(page, "confirmation with mistakes")


def test_every_page_that_is_still_empty_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    be(page, app, portal, make_user())
    for rule in readable(app, Role.ADMIN):
        if not rule.arguments:
            look(page, portal + rule.rule, f"empty {rule.endpoint}")


@pytest.mark.parametrize("half", [0, 1])
def test_every_page_can_be_used_by_every_administrator(
    page: Page, app: Flask, portal: str, half: int
) -> None:
    person, filled = filled_once(_filled)
    be(page, app, portal, person)
    for rule in readable(app, Role.ADMIN)[half::2]:
        look(page, portal + address(rule, filled), rule.endpoint)


def test_every_page_that_support_may_read_can_be_used_by_them(
    page: Page, app: Flask, portal: str
) -> None:
    _, filled = filled_once(_filled)
    # Of long work they may read their own kind: a retry of many.
    filled = replace(filled, tasks=filled.batches)
    be(page, app, portal, make_user(Role.SUPPORT))
    for rule in readable(app, Role.SUPPORT):
        look(page, portal + address(rule, filled), f"support {rule.endpoint}")
    for path, status in (("/settings/people", 403), ("/nowhere", 404)):
        answer = page.goto(portal + path)
        assert answer
        assert answer.status == status
        check_page(page, f"{status} page")


def test_every_form_with_mistakes_can_be_used_by_everyone(
    page: Page, app: Flask, portal: str
) -> None:
    person, filled = filled_once(_filled)
    be(page, app, portal, person)
    for rule in readable(app, Role.ADMIN):
        page.goto(portal + address(rule, filled))
        unfold(page)
        if may_err(rule.endpoint) and page.locator(ENTERED).count():
            mistake(page, f"{rule.endpoint} with mistakes")


def mistake(page: Page, name: str) -> None:
    """Send the page's form with everything emptied."""
    form = page.locator("main form.form").first
    # The last one first: which is the second goes by which are still ticked.
    for box in reversed(form.locator("input[type=checkbox]:checked:visible").all()):
        box.uncheck()
    for box in form.locator(TYPED).all():
        box.fill("")
    form.locator(".form-buttons button").first.click()
    expect(page.locator(".error-summary"), name).to_be_focused()
    assert page.title().startswith("Error: "), name
    check_page(page, name)
