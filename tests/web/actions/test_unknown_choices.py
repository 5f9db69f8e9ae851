"""A choice that a list does not offer, or no longer offers, is refused at its field."""

from flask import Flask

from portal.models.assets import AssetStatus
from tests.services.actions.planned_asset import planned_in
from tests.support.factories import make_location
from tests.web.signed_in import visit


def test_an_unknown_choice_is_refused_in_our_own_words(app: Flask) -> None:
    pages, it = visit(app), planned_in(AssetStatus.AVAILABLE)
    make_location()
    asset = f"/assets/{it.asset_id}"
    complete = f"{asset}/complete-maintenance/{it.work}"
    for path, values, fields in (
        (f"{asset}/check-out", {"staff_id": "999"}, ["staff_id"]),
        (f"{asset}/check-out", {"staff_id": "1", "due": "odd"}, ["due_at"]),
        (f"{asset}/transfer", {"location_id": "999"}, ["location_id"]),
        (f"{asset}/liquidate", {"method": "odd", "reason": "Sold"}, ["method"]),
        (
            f"{asset}/schedule-maintenance",
            {"type": "odd", "title": "Clean it", "due_on": "2099-01-01"},
            ["type"],
        ),
        (complete, {"outcome": "odd"}, ["outcome"]),
        (complete, {"performed_by_id": "999"}, ["performed_by_id"]),
        (
            "/assets/new",
            {"name": "Lamp", "condition": "odd", "kind": "odd"},
            ["condition", "kind"],
        ),
        ("/assets/new", {"name": "Lamp", "category_id": "999"}, ["category_id"]),
    ):
        page = pages.submit(pages.get(path).form(path), **values)
        assert (page.status, page.wrong) == (400, fields), path
        assert not any("valid choice" in error for error in page.errors), path
