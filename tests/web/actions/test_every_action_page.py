"""Every action through its page: it works in a legal status and is refused in another."""

from typing import Any

import pytest
from sqlalchemy import func, select

from portal.models.assets import Action, AssetKind, AssetStatus
from portal.models.deliveries import Event
from portal.services.actions.rules import RULES, why_not
from portal.services.actions.verbs import VERBS
from portal.services.core.unit_of_work import session
from tests.services.actions.every_action import FILLED, asset_in
from tests.support.factories import make_asset, make_location
from tests.support.pages import Pages
from tests.web.actions.test_every_plan_page import STEPS

PLANNED = (Action.RESERVE, Action.SCHEDULE_MAINTENANCE)
STOCK: dict[Action, dict[str, Any]] = {
    Action.RECEIVE_STOCK: {"quantity": 5},
    Action.ISSUE_STOCK: {"quantity": 2},
    Action.ADJUST_STOCK: {"quantity": 7, "kind": "adjust"},
}


def told() -> int:
    session().rollback()
    return session().execute(select(func.count(Event.id))).scalar_one()


HOLDER = "Maria Lopez"
UNDO = "Undo its disposal first"  # as an administrator reads it


def typed(action: Action) -> dict[str, Any]:
    return {name: value() if callable(value) else value for name, value in FILLED[action].items()}


def refused(
    pages: Pages, path: str, values: dict[str, Any], words: str, sent: str | None = None
) -> None:
    """Check that the page and a form sent anyway are refused with the reason and cause no event.

    `sent`: the reason that the form shows, if it differs from that of the page.
    """
    before = told()
    tried = (pages.get(path), words), (pages.post(path, values), sent or words)
    for page, reason in tried:
        assert (page.status, reason.removesuffix(".") in page.main) == (409, True), page.main
    assert told() == before


def test_each_action_works_in_a_legal_status_and_is_refused_in_another(pages: Pages) -> None:
    for action in FILLED:
        slug, values = VERBS[action].slug, typed(action)
        legal = [status for status in AssetStatus if why_not(action, status) is None]
        illegal = next(status for status in AssetStatus if status not in legal)
        for status in (legal[0], illegal):  # tests of the service cover the others
            asset_id = asset_in(status)
            path = f"/assets/{asset_id}/{slug}"
            reason = why_not(action, status, holder=HOLDER, undo=UNDO)
            if reason:
                refused(pages, path, values, reason, why_not(action, status, holder=HOLDER))
                continue
            before = told()
            page = pages.submit(pages.get(path).form(), **values)
            assert (page.status, page.path) == (200, f"/assets/{asset_id}"), page.errors
            assert told() == before + len(RULES[action].events)
            assert page.tone == "success"


@pytest.mark.parametrize("status", AssetStatus)
def test_a_page_shows_up_to_3_actions_and_why_others_are_disabled(
    pages: Pages, status: AssetStatus
) -> None:
    make_location("Store")
    asset_id = asset_in(status)
    page = pages.get(f"/assets/{asset_id}")
    panels = [node for node in page.root.walk() if "drop-panel" in node.get("class").split()]
    offered = {node.get("href") for panel in panels for node in panel.find_all("a")}
    for action in (*FILLED, *PLANNED):
        url = f"/assets/{asset_id}/{VERBS[action].slug}"
        reason = why_not(action, status, undo=UNDO)
        assert (url in page.links()) is (reason is None)
        assert reason is None or f", not now: {reason.partition('. ')[2]}" in page.main
    off = [node for node in page.root.walk() if node.get("class") == "off"]
    assert all(small.text for node in off for small in node.find_all("small"))
    actions = [node for node in page.root.walk() if "page-actions" in node.get("class").split()]
    in_front = {node.get("href") for node in actions[0].find_all("a")} - offered
    assert 1 <= len(in_front) <= 3


def test_only_the_notes_of_a_disposed_asset_can_be_changed(pages: Pages) -> None:
    for status in (AssetStatus.AVAILABLE, AssetStatus.CHECKED_OUT, AssetStatus.LIQUIDATED):
        path = f"/assets/{asset_in(status)}/edit"
        before = told()
        page = pages.submit(pages.get(path).form(), notes="Seen today")
        assert ("Saved." in page.text, told()) == (True, before + 1), status
        page = pages.submit(pages.get(path).form(), name="Another name")
        is_open = status is not AssetStatus.LIQUIDATED
        assert (page.status, told()) == (200 if is_open else 400, before + 1 + is_open), status
        assert is_open or "You can only change its notes" in " ".join(page.errors)


def test_an_asset_is_deleted_only_in_a_legal_status(pages: Pages) -> None:
    for status in AssetStatus:
        path = f"/assets/{asset_in(status)}/delete"
        reason = why_not(Action.DELETE, status, holder=HOLDER, undo=UNDO)
        if reason:
            refused(pages, path, {"reason": "Sold"}, reason)
            continue
        before = told()
        page = pages.submit(pages.get(path).form(), reason="Sold")
        assert (page.path, told()) == ("/assets", before + 1), status


def test_stock_takes_only_its_own_actions(pages: Pages) -> None:
    toner, lamp = make_asset("Toner", kind="stock", quantity=9), make_asset()
    for action, values in STOCK.items():
        slug, before = VERBS[action].slug, told()
        pages.submit(pages.get(f"/assets/{toner}/{slug}").form(), **values)
        assert told() == before + 1, action
        refused(pages, f"/assets/{lamp}/{slug}", values, "is a single item")
    planned = {action: STEPS[action][1] for action in PLANNED}
    for action in (*FILLED, *PLANNED):
        if AssetKind.STOCK not in RULES[action].kinds:
            values = planned[action]() if action in planned else typed(action)
            refused(pages, f"/assets/{toner}/{VERBS[action].slug}", values, "is a consumable.")


def test_every_action_is_in_a_table_of_these_tests() -> None:
    elsewhere = {Action.CREATE, Action.EDIT, Action.DELETE, Action.RESTORE}
    by_the_clock = {Action.EXPIRE_RESERVATION}
    assert {*FILLED, *STOCK, *STEPS} | elsewhere | by_the_clock == set(Action)
