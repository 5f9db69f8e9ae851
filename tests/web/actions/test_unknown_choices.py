"""What no list offers, or offers no more since the page was opened, is told at its field."""

from flask import Flask

from portal.models.assets import AssetStatus
from tests.services.actions.planned_asset import planned_in
from tests.support.factories import make_location
from tests.web.signed_in import visit


def test_it_is_told_in_our_words(app: Flask) -> None:
    pages, it = visit(app), planned_in(AssetStatus.AVAILABLE)
    make_location()
    asset = f"/assets/{it.asset_id}"
    complete, nobody = f"{asset}/complete-maintenance/{it.work}", "Choose a person from the list"
    for path, values, sentences in (
        (f"{asset}/check-out", {"staff_id": "999"}, [nobody]),
        (f"{asset}/check-out", {"staff_id": "1", "due": "odd"}, ["Enter when it is due back"]),
        (
            f"{asset}/transfer",
            {"location_id": "999"},
            ["This location has been deleted. Choose another location"],
        ),
        (
            f"{asset}/liquidate",
            {"method": "odd", "reason": "Sold"},
            ["Choose what becomes of it"],
        ),
        (
            f"{asset}/schedule-maintenance",
            {"type": "odd", "title": "Clean it", "due_on": "2099-01-01"},
            ["Choose what sort of work it is"],
        ),
        (complete, {"outcome": "odd"}, ["Choose how the work ended"]),
        (complete, {"performed_by_id": "999"}, [nobody]),
        (
            "/assets/new",
            {"name": "Lamp", "condition": "odd", "kind": "odd"},
            ["Choose the condition from the list", "Choose whether it is a single item or stock"],
        ),
        (
            "/assets/new",
            {"name": "Lamp", "category_id": "999"},
            ["This category has been deleted. Choose another category"],
        ),
    ):
        page = pages.submit(pages.get(path).form(path), **values)
        assert (page.status, page.errors) == (400, sentences), path
