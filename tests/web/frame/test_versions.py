"""Nobody saves over what others have saved since: each form that changes something says which
version it was opened with, and one that does not is none that anybody has seen."""

from collections.abc import Iterator

import pytest
from flask import Flask

from portal.models.people import Role
from tests.browser.support.page_list import address, readable
from tests.browser.support.sample_register import fill
from tests.support.factories import Person, make_user
from tests.support.pages import Form, Page, Pages
from tests.web.frame.test_every_route import written

LOST = (None, "", "0", "x", "9" * 30)
SAVED_BY_VERSION = {
    "alert_settings.index",
    "assets.edit",
    "categories.edit",
    "locations.edit",
    "organization.index",
    "people.show",
    "staff.edit",
    "webhook_forms.edit",
}


@pytest.fixture
def person(app: Flask) -> Person:
    return make_user(name="Ana Gruber")


def versioned(page: Page) -> Iterator[Form]:
    """The forms of a page that say what they were opened with."""
    yield from (form for form in page.forms if any(form.fields.get("version", ())))


def test_a_form_that_has_lost_its_version_saves_nothing(app: Flask, person: Person) -> None:
    filled = fill(person)
    pages = Pages(app)
    pages.sign_in(person.email, person.password)
    # Alerts begin with rules that nobody has saved: these are of version 0.
    pages.submit(pages.get("/settings/alerts").form("/settings/alerts"), repeat_every_days="9")
    found = set()
    for rule in readable(app, Role.ADMIN):
        for form in versioned(pages.get(address(rule, filled))):
            found.add(rule.endpoint)
            for sent in LOST:
                with written() as statements:
                    page = pages.submit(form, version=sent)
                told = (rule.endpoint, sent)
                assert (page.status, page.h1) == (409, "Someone else edited this"), told
                assert [each for each in statements if "audit_entries" in each] == [], told
                # It is told which version that was, and may be saved over what is there.
                assert int(page.form(form.action).hidden["version"][0]) > 0, told
    assert found == SAVED_BY_VERSION
