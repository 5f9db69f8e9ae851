"""Each form that edits something carries the version it was opened with, so that nobody
overwrites later changes of others. A form without a valid version saves nothing."""

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
    """Yield the forms of a page that carry a version."""
    yield from (form for form in page.forms if any(form.fields.get("version", ())))


def test_a_form_without_its_version_saves_nothing(app: Flask, person: Person) -> None:
    filled = fill(person)
    pages = Pages(app)
    pages.sign_in(person.email, person.password)
    # Alert rules have version 0, which is valid, until someone saves them.
    pages.submit(pages.get("/settings/alerts").form("/settings/alerts"), repeat_every_days="9")
    endpoints = set()
    for rule in readable(app, Role.ADMIN):
        for form in versioned(pages.get(address(rule, filled))):
            endpoints.add(rule.endpoint)
            for sent in LOST:
                with written() as statements:
                    page = pages.submit(form, version=sent)
                case = (rule.endpoint, sent)
                assert (page.status, page.h1) == (409, "Someone else edited this"), case
                assert [
                    statement for statement in statements if "audit_entries" in statement
                ] == [], case
                # The form now carries the current version, so a person can overwrite it.
                assert int(page.form(form.action).hidden["version"][0]) > 0, case
    assert endpoints == SAVED_BY_VERSION
