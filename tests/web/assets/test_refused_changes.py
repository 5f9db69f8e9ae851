"""Refusals by the register are shown in the form, which keeps the entered values."""

import pytest
from flask import Flask, get_flashed_messages

from portal.models.assignments import Staff
from portal.services.core.refusals import NotAllowed, NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session
from portal.web.forms.base import PortalForm, refusals_flashed, refusals_in
from tests.services.actions.plan_examples import make_maintenance, make_reservation
from tests.support.factories import make_asset, make_staff
from tests.support.pages import Pages
from tests.web.signed_in import visit


@pytest.fixture
def pages(app: Flask) -> Pages:
    """Return pages as a signed-in manager sees them."""
    return visit(app, "manager")


@pytest.mark.both_databases
def test_a_serial_number_or_tag_of_another_asset_is_refused(pages: Pages) -> None:
    make_asset(asset_tag="L-1", serial_number="S-1")
    path = f"/assets/{make_asset('Lamp', asset_tag='L-2')}/edit"
    for typed in ({"serial_number": "s-1"}, {"asset_tag": "l-1"}):
        page = pages.submit(pages.get(path).form(), name="Lamp 2", **typed)
        assert (page.status, page.path, page.wrong) == (400, path, list(typed))
        assert page.form().fields["name"] == ["Lamp 2"]


def test_an_email_address_of_another_person_is_refused(pages: Pages) -> None:
    make_staff("Maria Lopez", email="maria@example.com")
    row = session().get_one(Staff, make_staff("Ben Novak"))
    path = f"/staff/{row.public_id}/edit"
    page = pages.submit(pages.get(path).form(), name="Ben", email="maria@example.com")
    assert (page.status, page.path) == (400, path)
    assert page.wrong == ["email"]
    assert page.form().fields["name"] == ["Ben"]


@pytest.mark.both_databases
def test_an_asset_reserved_or_in_maintenance_is_not_deleted(pages: Pages) -> None:
    reserved, repaired = make_asset(asset_tag="L-1"), make_asset(asset_tag="L-2")
    forms = [pages.get(f"/assets/{asset_id}/delete").form() for asset_id in (reserved, repaired)]
    make_reservation(reserved, make_staff())
    make_maintenance(repaired, started=True)
    page = pages.submit(forms[0], reason="Sold")
    assert (page.status, page.path) == (400, f"/assets/{reserved}/delete")
    assert page.form().fields["reason"] == ["Sold"]
    page = pages.submit(forms[1], reason="Sold")
    assert (page.status, "L-2 is in maintenance" in page.main) == (409, True)


def test_refusals_with_their_own_page_are_not_shown_in_forms(app: Flask) -> None:
    for kind in (NotFound, NotAllowed, Stale):
        with app.test_request_context():
            form = PortalForm()
            with pytest.raises(kind), refusals_in(form):
                raise kind("No.")
            assert form.form_errors == []
            with refusals_in(form):
                raise Refusal("No.")
            assert form.form_errors == ["No."]
            with pytest.raises(kind), refusals_flashed():
                raise kind("No.")
            assert get_flashed_messages() == []


def test_other_refusals_are_flashed_on_the_next_page(app: Flask) -> None:
    with app.test_request_context():
        for kinds in ((), ("warning",)):
            with refusals_flashed(*kinds):
                raise Refusal("No.")
        flashes = get_flashed_messages(with_categories=True)
        assert flashes == [("info", "No."), ("warning", "No.")]
