"""The tabs of an asset's page: their contents, the kinds that have them, and their shared head."""

from datetime import timedelta
from decimal import Decimal

from flask import Flask

from portal.models.assets import Action
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from tests.services.actions.plan_examples import make_maintenance, make_reservation, put_in
from tests.support.factories import make_asset, make_staff, make_user, make_webhook
from tests.support.pages import Page
from tests.web.signed_in import visit

PATHS = {
    "Details": "",
    "Timeline": "/timeline",
    "Reservations": "/reservations",
    "Maintenance": "/maintenance",
    "Stock": "/stock",
    "Deliveries": "/deliveries",
}


def tabs(page: Page) -> dict[str, tuple[str, bool]]:
    """Return each tab's label, with its link and whether it is open."""
    (bar,) = [nav for nav in page.root.find_all("nav") if nav.get("aria-label") == "This asset"]
    return {
        link.text.strip(): (link.get("href"), link.get("aria-current") == "page")
        for link in bar.find_all("a")
    }


def test_each_kind_of_asset_has_its_own_tabs(app: Flask) -> None:
    item, toner = make_asset("Lamp"), make_asset("Toner", kind="stock", quantity=3)
    pages = visit(app)
    for asset_id, left_out in ((item, {"Stock"}), (toner, {"Reservations", "Maintenance"})):
        expected = {
            label: f"/assets/{asset_id}{path}"
            for label, path in PATHS.items()
            if label not in left_out
        }
        for label, path in expected.items():
            page = pages.get(path)
            assert (page.status, page.h1) == (200, lifecycle.find_asset(asset_id).name)
            assert page.title == f"{page.h1} · {label} · Asset register"
            assert tabs(page) == {each: (expected[each], each == label) for each in expected}
        for label in left_out:
            assert pages.get(f"/assets/{asset_id}{PATHS[label]}").status == 404


def test_every_tab_shows_the_state_and_the_open_requests(app: Flask) -> None:
    asset_id, pages = make_asset(), visit(app)
    make_reservation(asset_id, make_staff("Cleo Marin"), approved=True)
    make_reservation(asset_id, make_staff("Ben Novak"), 24, 32)
    make_maintenance(asset_id, due_on=today() - timedelta(days=1))
    put_in(asset_id, "broken")
    for path in ("", "/timeline", "/maintenance", "/deliveries"):
        page = pages.get(f"/assets/{asset_id}{path}")
        for words in ("Reserved", "Maintenance due", "Cleo Marin", "Ben Novak", "“Battery check”"):
            assert words in page.main, path
        assert page.links("Review") == [f"/assets/{asset_id}/reservations"]
        assert set(page.links("Edit")) == {f"/assets/{asset_id}/edit"}
    for query in ("", "?list=/assets?q=lamp"):
        page = pages.get(f"/assets/{asset_id}/reservations{query}")
        assert "Ben Novak" in page.main
        assert page.links("Review") == []  # the tab that it would lead to


def test_a_claim_is_late_the_day_after_its_expected_return(app: Flask) -> None:
    pages = visit(app)
    for days in (0, 1):
        asset_id = make_asset()
        expected = today() - timedelta(days=days)
        values = ClaimValues(problem="No picture", expected_back_on=expected)
        incidents.send_to_warranty(SYSTEM, asset_id, values)
        main = pages.get(f"/assets/{asset_id}").main
        assert ("It was expected back on" in main) is (days == 1)


def test_soon_means_the_days_of_the_alert_settings(app: Flask) -> None:
    asset_id, pages = make_asset(warranty_expires=today() + timedelta(days=45)), visit(app)
    make_maintenance(asset_id, due_on=today() + timedelta(days=20))
    words = ("Warranty ends soon", "Maintenance due")
    page = pages.get(f"/assets/{asset_id}")
    assert not any(notice in page.main for notice in words)
    rules = AlertRules(warranty_days=60, maintenance_days=21)
    alert_settings.save(make_user().actor, 0, rules)
    page = pages.get(f"/assets/{asset_id}")
    assert all(notice in page.main for notice in words)
    assert "Due soon" in pages.get("/maintenance").main
    assert "Maintenance due 1" in pages.get("/").main


def test_tabs_count_open_plans(app: Flask) -> None:
    asset_id, pages = make_asset(), visit(app)
    for start in (0, 24):
        make_reservation(asset_id, make_staff(), start, start + 8)
    planning_reservations.reject(SYSTEM, make_reservation(asset_id, make_staff(), 48, 50), "No")
    planning_maintenance.cancel(SYSTEM, make_maintenance(asset_id))
    assert {"Reservations 2", "Maintenance"} <= set(tabs(pages.get(f"/assets/{asset_id}")))


def test_closed_plans_are_listed_after_open_ones(app: Flask) -> None:
    asset_id, pages = make_asset(), visit(app)
    make_reservation(asset_id, make_staff("Cleo Marin"))
    planning_reservations.reject(
        SYSTEM, make_reservation(asset_id, make_staff("Ben Novak"), 9, 12), "Needed"
    )
    planning_maintenance.cancel(SYSTEM, make_maintenance(asset_id, title="Clean it"))
    rows = pages.get(f"/assets/{asset_id}/reservations").rows()
    assert [row[0] for row in rows] == ["Cleo Marin", "Ben Novak"]
    (row,) = pages.get(f"/assets/{asset_id}/maintenance").rows()
    assert row[0].startswith("Clean it")
    assert "Canceled" in row[4]


def test_a_deleted_asset_keeps_its_tabs_and_offers_only_restore(app: Flask) -> None:
    make_webhook()
    asset_id, pages = make_asset("Lamp"), visit(app)
    planning_reservations.reject(SYSTEM, make_reservation(asset_id, make_staff("Ben Novak")), "No")
    lifecycle.delete_asset(SYSTEM, asset_id)
    for path in ("", "/timeline", "/reservations", "/maintenance", "/deliveries"):
        page = pages.get(f"/assets/{asset_id}{path}")
        assert page.status == 200
        assert page.links("Restore") == [f"/assets/{asset_id}/restore"]
        assert not page.links("Edit"), path
    assert "Ben Novak" in pages.get(f"/assets/{asset_id}/reservations").main
    assert "We keep its timeline and deliveries" in pages.get(f"/assets/{asset_id}").main
    assert len(pages.get(f"/assets/{asset_id}/deliveries").rows()) == 1
    assert pages.get(f"/assets/{asset_id}/edit").status == 404


def test_past_incidents_stay_in_the_timeline(app: Flask) -> None:
    asset_id, pages = make_asset(), visit(app)
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Maria Lopez"))
    claim = ClaimValues(
        problem="No picture", supplier="Northwind", rma_number="R-17", note="By parcel"
    )
    incidents.send_to_warranty(SYSTEM, asset_id, claim)
    main = pages.get(f"/assets/{asset_id}/timeline").main
    assert "No picture. At Northwind. Return number R-17. By parcel" in main
    assert "Holder: Maria Lopez → no one" in main
    incidents.come_back(SYSTEM, asset_id, Action.RECEIVE_BACK)
    sold = DisposalValues(method="sold", recipient="Second Life", proceeds=Decimal(180))
    incidents.liquidate(SYSTEM, asset_id, sold)
    incidents.undo_liquidation(SYSTEM, asset_id)
    main = pages.get(f"/assets/{asset_id}/timeline").main
    assert "Sold to Second Life for EUR 180.00" in main
