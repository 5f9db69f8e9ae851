"""The current state that an asset's page shows, and the actions that it asks for."""

from datetime import datetime, time, timedelta
from decimal import Decimal

from flask import Flask
from sqlalchemy import update

from portal.extensions import settings
from portal.lib.dates import day_words
from portal.models.assets import Action, Asset, AssetStatus
from portal.models.assignments import Assignment
from portal.services.actions import assignments, incidents
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.assets.snapshots import open_assignment
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from portal.web.assets import presenter
from tests.services.actions.plan_examples import make_maintenance, make_reservation, put_in
from tests.services.alerts.due_things import lent
from tests.support.factories import make_asset, make_location, make_staff
from tests.web.signed_in import visit

CLAIM = ClaimValues(problem="No picture", supplier="Northwind")


def page_of(app: Flask, asset_id: int) -> str:
    return visit(app).get(f"/assets/{asset_id}").main


def day(days: int) -> str:
    """Format a day as pages do."""
    return day_words(today() + timedelta(days=days), today())


def test_an_overdue_asset_shows_how_late_it_is(app: Flask) -> None:
    main = page_of(app, lent(3.5))
    assert "Maria Lopez was due to return it 3 hours ago." in main
    assert " (3 hours late)." in main
    assert "late" not in page_of(app, lent(-3.5))


def test_an_asset_is_overdue_only_after_its_due_time(app: Flask) -> None:
    del app
    assignment = open_assignment(asset_id := lent(0))
    assert assignment is not None
    assert assignment.due_at is not None
    asset = session().get_one(Asset, asset_id)
    assert presenter.urgent_badges(asset, assignment, assignment.due_at) == []
    later = assignment.due_at + timedelta(seconds=1)
    assert presenter.urgent_badges(asset, assignment, later) == [presenter.OVERDUE]


def test_the_first_approved_reservation_of_a_broken_asset_is_named(app: Flask) -> None:
    asset_id = make_asset()
    make_reservation(asset_id, make_staff("Ben Novak"), 24, 32, approved=True)
    make_reservation(asset_id, make_staff("Cleo Marin"), 8, 16, approved=True)
    make_reservation(asset_id, make_staff("Eva Only"), 0, 4)
    put_in(asset_id, "broken")
    main = page_of(app, asset_id)
    assert main.count("reserved it from") == 1
    assert "Cleo Marin reserved it from" in main
    assert "Eva Only requested it from" in main


def test_several_requests_are_counted_with_the_first_start(app: Flask) -> None:
    asset_id = make_asset()
    for number in range(2):
        make_reservation(asset_id, make_staff(f"Person {number}"), 24 * number, 24 * number + 8)
    main = page_of(app, asset_id)
    assert "2 people requested it (the first from" in main
    assert "Person 0 asked" not in main


def test_an_asset_is_reserved_once_a_reservation_is_approved(app: Flask) -> None:
    asked, agreed = make_asset(), make_asset()
    make_reservation(asked, make_staff())
    make_reservation(agreed, make_staff(), approved=True)
    for asset_id, is_reserved in ((asked, False), (agreed, True)):
        head = page_of(app, asset_id).partition("Timeline")[0]
        assert ("Reserved" in head) is is_reserved


def test_past_maintenance_was_due_and_other_maintenance_is_due(app: Flask) -> None:
    for days, verb in ((-1, "was"), (0, "is"), (3, "is")):
        asset_id = make_asset()
        make_maintenance(asset_id, due_on=today() + timedelta(days=days))
        assert f"“Battery check” {verb} due on" in page_of(app, asset_id)


def test_a_warranty_that_ends_soon_is_shown_unless_it_is_claimed(app: Flask) -> None:
    for days, when in ((0, "today"), (3, f"on {day(3)}")):
        asset_id = make_asset(warranty_expires=today() + timedelta(days=days))
        assert f"Its warranty ends {when}. If it needs repair" in page_of(app, asset_id)
        incidents.send_to_warranty(SYSTEM, asset_id, CLAIM)
        assert "Its warranty ends" not in page_of(app, asset_id)


def test_a_claim_shows_its_supplier_and_expected_return(app: Flask) -> None:
    asset_id = make_asset()
    incidents.send_to_warranty(SYSTEM, asset_id, CLAIM)
    assert "At Northwind for warranty repair. " in page_of(app, asset_id)
    incidents.come_back(SYSTEM, asset_id, Action.RECEIVE_BACK)
    values = ClaimValues(problem="Dark", expected_back_on=today() + timedelta(days=9))
    incidents.send_to_warranty(SYSTEM, asset_id, values)
    expected = f"Out for warranty repair. Expected back on {day(9)}."
    assert expected in page_of(app, asset_id)


def test_a_location_is_shown_while_the_asset_is_there(app: Flask) -> None:
    pages, there = visit(app), {"available", "allocated", "broken", "maintenance"}
    asset_id = make_asset(location_id=make_location("Cellar"))
    for status in AssetStatus:
        put_in(asset_id, status)
        head = pages.get(f"/assets/{asset_id}").main.partition("Timeline")[0]
        assert ("It’s at Cellar." in head) is (status in there), status


def test_a_disposed_asset_shows_its_recipient_and_day(app: Flask) -> None:
    for values, words in (
        (DisposalValues(method="sold", proceeds=Decimal(9)), "Sold"),
        (DisposalValues(method="donated", recipient="Second Life"), "Donated to Second Life"),
        (DisposalValues(method="written_off"), "Written off"),
    ):
        asset_id = make_asset()
        incidents.liquidate(SYSTEM, asset_id, values)
        assert f"{words} on {day(0)}. Only its notes can be changed." in page_of(app, asset_id)


def test_the_incident_that_caused_the_status_is_shown(app: Flask) -> None:
    asset_id = make_asset()
    incidents.report_broken(SYSTEM, asset_id, description="It fell")
    incidents.report_lost(SYSTEM, asset_id, description="On the train")
    put_in(asset_id, "broken")
    main = page_of(app, asset_id).partition("Timeline")[0]
    assert "Broken since" in main
    assert "“It fell”" in main
    assert "“On the train”" not in main


def test_low_stock_shows_its_quantity_and_unit(app: Flask) -> None:
    stock = {"kind": "stock", "min_quantity": 4}
    toner = make_asset("Toner", quantity=2, unit="boxes", **stock)
    paper = make_asset("Paper", quantity=0, **stock)
    assert "2 boxes left. The threshold is 4." in page_of(app, toner)
    assert "None left. The threshold is 4." in page_of(app, paper)


def test_a_loan_shows_its_start_and_due_time(app: Flask) -> None:
    asset_id, zone = make_asset(), settings().timezone
    due_at = datetime.combine(today() + timedelta(days=3), time(17), zone)
    assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
    started_at = datetime.combine(today() - timedelta(days=2), time(9, 30), zone)
    with writing() as current:
        current.execute(update(Assignment).values(started_at=started_at))
    words = f"Checked out to Maria Lopez since {day(-2)}, 09:30. Due {due_at:%a}, {day(3)}, 17:00."
    assert words in page_of(app, asset_id)
