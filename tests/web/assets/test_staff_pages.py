"""Staff pages: list, add, edit, and leave."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.lib.clock import utcnow
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
    """Return pages as a signed-in manager sees them."""
    return visit(app, "manager")


def add(pages: Pages, **values: Any) -> Page:
    page = pages.get("/staff/new")
    return pages.submit(page.form(), **values)


def test_a_person_is_added_and_listed(pages: Pages) -> None:
    page = add(pages, name="Maria Lopez", email="maria@example.com", department="Sales")
    assert page.h1 == "Maria Lopez"
    page = pages.get("/staff")
    assert page.rows() == [["Maria Lopez", "maria@example.com", "Sales", "None"]]
    assert pages.get("/staff?q=nobody").rows() == []


def test_an_invalid_email_is_shown_and_entered_values_kept(pages: Pages) -> None:
    page = add(pages, name="Maria Lopez", email="nothing")
    assert page.status == 400
    assert page.wrong == ["email"]
    assert page.form().fields["name"] == ["Maria Lopez"]


def test_leaving_is_confirmed_first_and_can_be_undone(pages: Pages) -> None:
    maria = make_person("Maria Lopez")
    question = pages.get(pages.get(maria).links("Mark as former staff")[0])
    assert question.path == f"{maria}/leave"
    page = pages.submit(question.form())
    assert (page.path, page.tone) == (maria, "success")
    page = pages.submit(page.form(f"{maria}/return"))
    assert page.tone == "success"
    # The URL of a button, opened as a page, leads back to the person.
    assert pages.get(f"{maria}/return").path == maria


def test_before_leaving_each_asset_is_listed_with_its_return_action(pages: Pages) -> None:
    maria, (line,) = make_person("Maria Lopez"), staff.choices()
    given, lent = make_asset("Camera"), make_asset("Projector")
    assignments.allocate(SYSTEM, given, staff_id=line.id)
    assignments.check_out(SYSTEM, lent, staff_id=line.id, due_at=utcnow() + timedelta(days=1))
    for page in (pages.get(maria), pages.get(f"{maria}/leave")):
        camera, projector = page.rows()
        assert camera[:2] == ["Camera", "AST-00001"]
        assert (camera[-1], projector[-1]) == ("Revoke CameraReassign Camera", "Check in Projector")
    assert f"{maria}/leave" not in [form.action for form in page.forms]
    answer = pages.client.post(f"{maria}/leave", data=pages.get("/staff/new").form().hidden)
    assert answer.status_code == 409
    page = pages.submit(pages.get(page.links("Check in Projector")[0]).form())
    assert page.links("Back to person") == [f"{maria}/leave"]
    page = pages.submit(pages.get(pages.get(maria).links("Revoke Camera")[0]).form())
    assert page.links("Back to person") == [maria]
    assert pages.submit(pages.get(f"{maria}/leave").form()).tone == "success"


def test_all_allocations_of_a_person_are_revoked_in_one_step(pages: Pages) -> None:
    maria, (line,) = make_person("Maria Lopez"), staff.choices()
    assets = [make_asset("Camera") for _ in range(3)]
    for asset_id in assets:
        assignments.allocate(SYSTEM, asset_id, staff_id=line.id)
    page = pages.get(pages.get(maria).links("Revoke 3")[0])
    assert page.h1 == "Revoke 3 assets"
    assert pages.get(maria).links("Check in") == []


def test_leaving_is_refused_while_the_person_has_reservations(pages: Pages) -> None:
    maria, (line,) = make_person("Maria Lopez"), staff.choices()
    make_reservation(make_asset("Camera"), line.id)
    page = pages.get(f"{maria}/leave")
    assert page.rows()[0][0] == "Camera AST-00001"
    (cancel,) = page.links("Cancel reservation for Maria Lopez, AST-00001")
    page = pages.submit(pages.get(cancel).form())
    assert page.links("Back to person") == [f"{maria}/leave"]
    assert pages.submit(pages.get(f"{maria}/leave").form()).tone == "success"


def make_person(name: str) -> str:
    """Add a person to the staff list and return the path of their page."""
    return f"/staff/{staff.create(SYSTEM, StaffValues(name=name, email='maria@example.com'))}"


def test_a_late_edit_shows_both_versions(pages: Pages) -> None:
    maria = staff.create(SYSTEM, StaffValues(name="Maria", email="maria@example.com"))
    form = pages.get(f"/staff/{maria}/edit").form()
    staff.edit(SYSTEM, maria, 1, StaffValues(name="Maria Cruz", email="maria@example.com"))
    page = pages.submit(form, name="Maria Lopez")
    assert page.status == 409
    assert page.rows() == [["Name", "Maria Cruz", "Maria Lopez"]]
    page = pages.submit(page.form(), "Save my version")
    assert (page.h1, page.tone) == ("Maria Lopez", "success")
