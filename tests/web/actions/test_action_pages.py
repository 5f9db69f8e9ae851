"""Pages of actions: results, side effects, kept values, and refusals with a way out."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.deliveries import Event
from portal.services.core.unit_of_work import session
from tests.services.actions.plan_examples import make_maintenance, make_reservation
from tests.support.factories import make_asset, make_location, make_staff, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit


@pytest.fixture
def pages(app: Flask) -> Pages:
    """Return pages as a signed-in manager sees them."""
    return visit(app, "manager")


def told() -> list[str]:
    """Return the stored events except the first, which creates the asset."""
    session().rollback()
    return list(session().scalars(select(Event.event).order_by(Event.id)).all())[1:]


def test_an_asset_is_allocated_and_its_holder_named(pages: Pages) -> None:
    asset_id, maria = make_asset(), make_staff("Maria Lopez")
    make_webhook(events=["asset.allocated"])
    page = pages.get(f"/assets/{asset_id}/allocate")
    page = pages.submit(page.form(), staff_id=maria, note="With charger")
    assert page.path == f"/assets/{asset_id}"
    assert "Allocated AST-00001 to Maria Lopez." in page.text
    assert told() == ["asset.allocated"]


def test_plans_canceled_by_an_action_are_named_before_and_after(pages: Pages) -> None:
    for action in ("liquidate", "report-lost"):
        asset_id, maria = make_asset(), make_staff("Maria Lopez")
        path = f"/assets/{asset_id}/{action}"
        make_reservation(asset_id, maria, 24, 48)
        make_maintenance(asset_id, title="Yearly test")
        page = pages.get(path)
        assert "Maria Lopez’s reservation, " in page.main, action
        assert "Maintenance “Yearly test”, " in page.main, action
        filled = {"method": "scrapped"} if action == "liquidate" else {"description": "Gone"}
        pages.submit(page.form(path), **filled)
        main = pages.get(f"/assets/{asset_id}/timeline").main
        assert "Also canceled: 1 reservation, 1 maintenance job" in main, action
        main = pages.get(f"/assets/{asset_id}/reservations").main
        assert "Canceled" in main, action


def test_missing_values_are_named_and_entered_values_kept(pages: Pages) -> None:
    asset_id = make_asset()
    page = pages.get(f"/assets/{asset_id}/check-out")
    page = pages.submit(page.form(), purpose="Trade fair", due="other")
    assert page.status == 400
    assert page.errors == ["Choose a person", "Enter a due date and time"]
    assert page.form().fields["purpose"] == ["Trade fair"]


def test_an_asset_at_the_only_location_cannot_be_moved(
    pages: Pages,
) -> None:
    here = make_location("Store")
    asset_id, loose = make_asset(location_id=here), make_asset()
    page = pages.get(f"/assets/{asset_id}")
    assert page.links("Move") == []
    assert "It is at the only location." in page.main
    page = pages.get(f"/assets/{asset_id}/transfer")
    assert page.status == 409
    assert page.links("Add location") == ["/locations/new"]
    assert pages.get(f"/assets/{loose}/transfer").status == 200
    make_location("Studio")
    assert pages.get(f"/assets/{asset_id}").links("Move") == [f"/assets/{asset_id}/transfer"]
