"""An asset through loan, damage, repair, cost, and loan: its page, its files, and its events."""

import csv
import io
import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.assets import Action
from portal.models.deliveries import Event
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from tests.services.actions.every_action import check_out
from tests.services.actions.plan_examples import put_in
from tests.support.factories import make_asset, make_location, make_staff
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit


@pytest.fixture
def pages(app: Flask) -> Pages:
    """Return pages as a signed-in manager sees them."""
    return visit(app, "manager")


def told(since: int = 0) -> list[dict[str, Any]]:
    session().rollback()
    bodies = session().scalars(select(Event.body).order_by(Event.id)).all()
    return [json.loads(body) for body in bodies[since:]]


def act(pages: Pages, path: str, **typed: Any) -> Page:
    """Submit the form at `path` and return the next page."""
    page = pages.submit(pages.get(path).form(), **typed)
    assert (page.status, page.errors) == (200, []), path
    return page


def lines(pages: Pages, path: str) -> list[dict[str, str]]:
    """Return the lines of a CSV file."""
    answer = pages.client.get(path, buffered=True)
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


def test_an_asset_goes_through_loan_damage_repair_cost_and_loan(pages: Pages) -> None:
    asset_id = make_asset("ThinkPad T14")
    here = f"/assets/{asset_id}"
    check_out(SYSTEM, asset_id)
    page = act(pages, f"{here}/check-in", condition_in="damaged", description="The screen is dead")
    assert page.flashes == [("success", "Checked in AST-00001. It’s now broken.")]
    assert "“The screen is dead”" in page.main
    assert page.links("Check out") == []

    plan = {"title": "New screen", "due_on": "2030-05-03", "supplier": "Screenworks"}
    act(pages, f"{here}/schedule-maintenance", estimated_cost="180", note="Order 7", **plan)
    page = pages.get(f"{here}/maintenance")
    act(pages, page.links("Start")[0])
    page = pages.get(pages.get(f"{here}/maintenance").links("Complete")[0])
    for fact in ("Screenworks", "EUR 180.00", "Order 7"):
        assert fact in page.main
    kept = {"supplier": ["Screenworks"], "cost": ["180.00"], "note": ["Order 7"]}
    kept |= {"outcome": ["repaired"]}
    assert page.form().fields | kept | {"condition": ["good"]} == page.form().fields
    pages.submit(page.form(), cost="189,50", note="Order 7. Fast")

    maintenance = pages.get(f"{here}/maintenance").main
    for main in (maintenance, pages.get("/maintenance?show=all").main):
        for fact in ("Screenworks", "EUR 189.50", "Order 7. Fast"):
            assert fact in main
    assert "Cost so far: EUR 189.50" in maintenance
    main = pages.get(here).main
    assert "Maintenance cost EUR 189.50 so far" in main
    assert "Condition Good" in main

    check_out(SYSTEM, asset_id)
    (line,) = lines(pages, "/assets/export.csv")
    assert (line["status"], line["condition"], line["maintenance_cost"]) == (
        "checked_out",
        "good",
        "189.50",
    )
    (line,) = lines(pages, f"/maintenance/export.csv?asset={asset_id}")
    expected = {
        "asset_tag": "AST-00001",
        "task": "New screen",
        "outcome": "repaired",
        "company": "Screenworks",
        "cost": "189.50",
        "currency": "EUR",
        "note": "Order 7. Fast",
    }
    assert line | expected == line
    assert [body["event"] for body in told()] == [
        "asset.created",
        "asset.checked_out",
        "asset.checked_in",
        "asset.broken",
        "asset.maintenance_scheduled",
        "asset.updated",
        "asset.maintenance_completed",
        "asset.checked_out",
    ]
    started, completed = told(5)[:2]
    # An unchanged note was sent with the plan and isn't sent again.
    assert [body["data"]["note"] for body in (started, completed)] == ["", "Order 7. Fast"]
    assert (completed["data"]["supplier"], completed["data"]["cost"]) == ("Screenworks", "189.50")
    assert (completed["asset"]["condition"], completed["asset"]["status"]) == ("good", "available")


@pytest.mark.parametrize("way", ["check-in", "revoke"])
def test_an_asset_returned_damaged_is_reported_broken_at_once(pages: Pages, way: str) -> None:
    asset_id = make_asset()
    if way == "revoke":
        assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    else:
        check_out(SYSTEM, asset_id)
    page = pages.get(f"/assets/{asset_id}/{way}")
    assert page.form().fields["condition_in"] == ["good"]
    since = len(told())
    # The return is refused until a person says how the damage happened.
    refused = pages.submit(page.form(), condition_in="damaged")
    assert (refused.status, refused.wrong) == (400, ["description"])
    assert told(since) == []
    pages.submit(refused.form(), description="It fell", note="With bag")
    back, broken = told(since)
    assert (back["data"]["condition_in"], back["data"]["note"]) == ("damaged", "With bag")
    assert (broken["event"], broken["data"]["description"]) == ("asset.broken", "It fell")
    assert broken["data"]["status_from"] == "available"
    assert [body["asset"]["version"] for body in (back, broken)] == [3, 4]
    assert lifecycle.find_asset(asset_id).status == "broken"


def test_an_asset_returned_damaged_but_working_stays_available(pages: Pages) -> None:
    for condition, ticked in (("damaged", None), ("poor", "y")):
        asset_id = make_asset()
        check_out(SYSTEM, asset_id)
        act(pages, f"/assets/{asset_id}/check-in", condition_in=condition, needs_repair=ticked)
        asset = lifecycle.find_asset(asset_id)
        assert (asset.status, asset.condition) == ("available", condition)


def test_damage_from_before_a_loan_is_not_reported_on_return(pages: Pages) -> None:
    asset_id = make_asset(condition="damaged")
    check_out(SYSTEM, asset_id)
    act(pages, f"/assets/{asset_id}/check-in")
    assert lifecycle.find_asset(asset_id).status == "available"


def test_a_return_refused_without_a_description_leaves_the_loan(
    app: Flask,
) -> None:
    asset_id = make_asset()
    check_out(SYSTEM, asset_id)
    since = len(told())
    with pytest.raises(Refusal, match="Describe what happened"):
        incidents.take_back(SYSTEM, asset_id, Action.CHECK_IN, needs_repair=True, description="")
    assert (lifecycle.find_asset(asset_id).status, told(since)) == ("checked_out", [])


def test_a_repair_without_a_plan_records_company_and_cost(pages: Pages) -> None:
    asset_id, store = make_asset(), make_location("Store")
    incidents.report_broken(SYSTEM, asset_id, description="It fell")
    page = pages.get(f"/assets/{asset_id}/repair")
    assert page.form().fields["condition"] == ["good"]
    since = len(told())
    refused = pages.submit(page.form(), cost="-1")
    assert (refused.status, refused.wrong, told(since)) == (400, ["cost"], [])
    pages.submit(page.form(), supplier="Screenworks", cost="40", location_id=store, note="Fast")
    (body,) = told(since)
    assert (body["event"], body["data"]["reason"]) == ("asset.updated", "repaired")
    ((task, due, by, cost, *_),) = pages.get(f"/assets/{asset_id}/maintenance").rows()
    assert (task, due, by, cost) == ("Repair Repair, once Fast", "", "Screenworks", "EUR 40.00")
    assert "Maintenance cost EUR 40.00 so far" in pages.get(f"/assets/{asset_id}").main
    timeline = pages.get(f"/assets/{asset_id}/timeline").main
    assert "By Screenworks. Cost EUR 40.00. Fast" in timeline


def test_failed_maintenance_leaves_the_condition(pages: Pages) -> None:
    asset_id = make_asset(condition="damaged")
    act(pages, f"/assets/{asset_id}/schedule-maintenance", title="Fix", due_on="2030-05-03")
    act(pages, pages.get(f"/assets/{asset_id}/maintenance").links("Start")[0])
    act(pages, pages.get(f"/assets/{asset_id}/maintenance").links("Complete")[0], outcome="failed")
    asset = lifecycle.find_asset(asset_id)
    assert (asset.status, asset.condition) == ("broken", "damaged")


def test_canceled_maintenance_keeps_the_note_of_its_plan(pages: Pages) -> None:
    asset_id = make_asset()
    plan = {"title": "Check", "due_on": "2030-05-03", "note": "Bring the tester"}
    act(pages, f"/assets/{asset_id}/schedule-maintenance", **plan)
    cancel = next(link for link in pages.get(f"/assets/{asset_id}/maintenance").links("Cancel"))
    act(pages, cancel, note="Sold")
    assert "Bring the tester Sold" in pages.get(f"/assets/{asset_id}/maintenance").main


def test_a_copy_leaves_the_fields_of_a_single_item_blank(pages: Pages) -> None:
    asset_id = make_asset("ThinkPad T14", serial_number="S-1", model="T14", notes="By the door")
    put_in(asset_id, "available", condition="fair")
    fields = pages.get(f"/assets/new?copy={asset_id}").form().fields
    assert (fields["name"], fields["model"]) == (["ThinkPad T14"], ["T14"])
    for name in ("asset_tag", "serial_number", "purchase_date", "warranty_expires", "notes"):
        assert fields[name] == [""], name
    assert fields["condition"] == ["good"]
