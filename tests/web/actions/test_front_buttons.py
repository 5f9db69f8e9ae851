"""What stands in front on an asset's page: what people come for in its status, then Edit."""

from flask import Flask

from portal.models.assets import Action, AssetKind, AssetStatus
from tests.services.actions.every_action import act, asset_in
from tests.support.factories import make_asset
from tests.support.pages import Page
from tests.web.signed_in import visit

IN_FRONT = {
    AssetStatus.AVAILABLE: ["Check out", "Allocate"],
    AssetStatus.ALLOCATED: ["Revoke", "Reassign"],
    AssetStatus.CHECKED_OUT: ["Check in", "Change due date"],
    AssetStatus.MAINTENANCE: [],
    AssetStatus.WARRANTY: ["Receive back"],
    AssetStatus.BROKEN: ["Mark as repaired", "Send for warranty repair"],
    AssetStatus.LOST: ["Mark as found", "Dispose of asset"],
    AssetStatus.LIQUIDATED: ["Undo disposal"],
}


def in_front(page: Page) -> list[str]:
    found = [each for each in page.root.find_all("a") if "btn" in each.get("class").split()]
    return [each.text for each in found]


def test_in_each_status_what_people_come_for_stands_in_front(app: Flask) -> None:
    pages = visit(app)
    for status, buttons in IN_FRONT.items():
        found = in_front(pages.get(f"/assets/{asset_in(status)}"))
        wanted = [*buttons, "Edit"]
        assert found[: len(wanted)] == wanted, status
        assert set(found[len(wanted) :]) <= {"Complete"}, "the maintenance that is under way"


def test_a_consumable_is_issued_and_received_and_one_that_was_deleted_is_restored(
    app: Flask,
) -> None:
    pages = visit(app)
    gloves, lamp = make_asset("Gloves", kind=AssetKind.STOCK, quantity=9), make_asset()
    assert in_front(pages.get(f"/assets/{gloves}"))[:3] == ["Issue", "Receive", "Edit"]
    act(Action.DELETE, lamp)
    assert in_front(pages.get(f"/assets/{lamp}"))[:1] == ["Restore"]
