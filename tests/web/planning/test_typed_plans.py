"""Events carry the values entered in a plan's form, and null or "" for an empty field."""

from typing import Any

import pytest
from flask import Flask

from portal.services.core.time_zones import today
from tests.services.actions.plan_examples import last_body, make_maintenance
from tests.support.factories import make_asset, make_staff
from tests.web.signed_in import visit

JONAS, MAIL = {"id": 1, "name": "Jonas Berg"}, "jonas@example.com"
DAY = "2099-05-03"


@pytest.fixture(autouse=True)
def _jonas(app: Flask) -> None:
    assert make_staff("Jonas Berg", email=MAIL) == JONAS["id"]


def told(app: Flask, step: str, **typed: str) -> dict[str, Any]:
    """Submit the form and return the data of the event it sends."""
    asset_id = make_asset()
    if step.startswith("complete"):
        step = f"{step}/{make_maintenance(asset_id)}"
    pages = visit(app)
    page = pages.submit(pages.get(f"/assets/{asset_id}/{step}").form(), **typed)
    assert (page.status, page.errors) == (200, [])
    data: dict[str, Any] = last_body()["data"]
    return data


def test_the_event_of_planned_maintenance_has_the_entered_values(app: Flask) -> None:
    for typed, facts in (
        (
            {
                "type": "inspection",
                "repeat_every_days": "30",
                "assignee_id": "1",
                "supplier": " Northwind ",
                "estimated_cost": "40,50",
                "note": "Bring the tester",
            },
            {
                "type": "inspection",
                "repeat_every_days": 30,
                "assignee": JONAS,
                "supplier": "Northwind",
                "estimated_cost": "40.50",
                "note": "Bring the tester",
            },
        ),
        (
            {"repeat_every_days": " ", "supplier": " ", "estimated_cost": "\u200b", "note": " "},
            {
                "type": "preventive",
                "repeat_every_days": None,
                "assignee": None,
                "supplier": None,
                "estimated_cost": None,
                "note": "",
            },
        ),
    ):
        data = told(app, "schedule-maintenance", title="Battery check", due_on=DAY, **typed)
        assert data == data | {"title": "Battery check", "due_on": DAY, **facts}, typed


def test_the_event_of_completed_maintenance_has_the_entered_values(app: Flask) -> None:
    for typed, facts in (
        (
            {"outcome": "failed", "cost": "35.5", "performed_by_id": "1", "note": "It is worn"},
            {"outcome": "failed", "cost": "35.50", "performed_by": JONAS, "note": "It is worn"},
        ),
        ({}, {"outcome": "ok", "cost": None, "performed_by": None, "note": ""}),
    ):
        data = told(app, "complete-maintenance", **typed)
        assert data == data | {"completed_on": today().isoformat(), **facts}, typed


def test_the_event_of_a_reservation_has_the_entered_values(app: Flask) -> None:
    purpose = "Trade fair"
    times = {"starts_at": f"{DAY}T09:00", "ends_at": f"{DAY}T10:30"}
    data = told(app, "reserve", staff_id="1", purpose=purpose, **times)
    facts = {
        "staff": JONAS | {"email": MAIL},
        "starts_at": f"{DAY}T07:00:00+00:00",
        "ends_at": f"{DAY}T08:30:00+00:00",
        "purpose": purpose,
    }
    assert data == data | facts


def test_a_blank_date_is_refused(app: Flask) -> None:
    pages = visit(app)
    form = pages.get(f"/assets/{make_asset()}/schedule-maintenance").form()
    page = pages.submit(form, title="Battery check", due_on=" ")
    assert (page.status, page.wrong) == (400, ["due_on"])
