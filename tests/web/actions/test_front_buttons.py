"""The first buttons of an asset's page: the usual actions in its status, then Edit."""

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
    buttons = [link for link in page.root.find_all("a") if "btn" in link.get("class").split()]
    return [link.text for link in buttons]


def test_the_usual_actions_of_each_status_come_first(app: Flask) -> None:
    pages = visit(app)
    for status, buttons in IN_FRONT.items():
        shown = in_front(pages.get(f"/assets/{asset_in(status)}"))
        expected = [*buttons, "Edit"]
        assert shown[: len(expected)] == expected, status
        assert set(shown[len(expected) :]) <= {"Complete"}, "the maintenance that is under way"


def test_stock_can_be_issued_first_and_a_deleted_asset_restored(
    app: Flask,
) -> None:
    pages = visit(app)
    gloves, lamp = make_asset("Gloves", kind=AssetKind.STOCK, quantity=9), make_asset()
    assert in_front(pages.get(f"/assets/{gloves}"))[:3] == ["Issue", "Receive", "Edit"]
    act(Action.DELETE, lamp)
    assert in_front(pages.get(f"/assets/{lamp}"))[:1] == ["Restore"]
