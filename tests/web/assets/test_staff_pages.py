"""The pages of staff: list, new, edit, leaving."""

from typing import Any

import pytest
from flask import Flask

from portal.services.actions import assignments
from portal.services.assets import staff
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import SYSTEM
from tests.services.actions.plan_examples import make_reservation
from tests.support.factories import make_asset
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit


@pytest.fixture
def pages(app: Flask) -> Pages:
    """A manager at the browser."""
    return visit(app, "manager")


def add(pages: Pages, **values: Any) -> Page:
    page = pages.get("/staff/new")
    return pages.submit(page.form(), **values)


def test_the_empty_list_leads_to_the_first_person(pages: Pages) -> None:
    page = add(pages, name="Maria Lopez", email="maria@example.com", department="Sales")
    assert page.h1 == "Maria Lopez"
    page = pages.get("/staff")
    assert page.rows() == [["Maria Lopez", "maria@example.com", "Sales", "None"]]
    assert pages.get("/staff?q=nobody").rows() == []


def test_it_keeps_what_was_typed_and_says_what_is_missing(pages: Pages) -> None:
    page = add(pages, name="Maria Lopez", email="nothing")
    assert page.status == 400
    assert page.wrong == ["email"]
    assert page.form().fields["name"] == ["Maria Lopez"]


def test_leaving_is_refused_with_what_the_person_still_has(pages: Pages) -> None:
    add(pages, name="Maria Lopez", email="maria@example.com")
    (line,) = staff.choices()
    asset_id = make_asset("Camera")
    assignments.allocate(SYSTEM, asset_id, staff_id=line.id)
    page = pages.get(pages.get("/staff").links("Maria Lopez")[0])
    assert page.rows()[0][0] == "Camera AST-00001"
    page = pages.submit(page.form(f"{page.path}/leave"))
    assert page.status == 409
    assert "AST-00001 (Camera)" in page.errors[0]
    assignments.revoke(SYSTEM, asset_id)
    page = pages.get(pages.get("/staff").links("Maria Lopez")[0])
    page = pages.submit(page.form(f"{page.path}/leave"))
    page = pages.submit(page.form(f"{page.path}/return"))
    assert page.tone == "success"


def test_leaving_is_refused_beside_what_the_person_has_reserved(pages: Pages) -> None:
    add(pages, name="Maria Lopez", email="maria@example.com")
    (line,) = staff.choices()
    make_reservation(make_asset("Camera"), line.id)
    page = pages.get(pages.get("/staff").links("Maria Lopez")[0])
    person = page.path
    page = pages.submit(page.form(f"{person}/leave"))
    assert page.status == 409
    assert "AST-00001 (Camera)" in page.errors[0]
    assert page.rows()[0][0] == "Camera AST-00001"
    (cancel,) = [url for url in page.links("Cancel") if "cancel-reservation" in url]
    pages.submit(pages.get(cancel).form())
    page = pages.submit(pages.get(person).form(f"{person}/leave"))
    assert page.tone == "success"


def test_two_editors_see_both_versions(pages: Pages) -> None:
    maria = staff.create(SYSTEM, StaffValues(name="Maria", email="maria@example.com"))
    form = pages.get(f"/staff/{maria}/edit").form()
    staff.edit(SYSTEM, maria, 1, StaffValues(name="Maria Cruz", email="maria@example.com"))
    page = pages.submit(form, name="Maria Lopez")
    assert page.status == 409
    assert page.rows() == [["Name", "Maria Cruz", "Maria Lopez"]]
    page = pages.submit(page.form(), "Save my version")
    assert (page.h1, page.tone) == ("Maria Lopez", "success")
