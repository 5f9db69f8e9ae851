"""Every action through its page: where it is legal it acts, elsewhere it says why not."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.models.assets import AssetStatus
from portal.models.deliveries import Event
from portal.services import assets
from portal.services.legality import RULES, Action
from portal.services.obstacles import why_not
from portal.services.unit import session
from portal.web.actions import BY_ACTION
from tests.factories import make_location, make_staff, make_user
from tests.pages import Pages
from tests.services.acting import act, asset_in
from tests.web.test_action_pages import in_days

# What a person fills in; a callable makes what the choice is about.
FILLED: dict[Action, dict[str, Any]] = {
    Action.ALLOCATE: {"staff_id": make_staff},
    Action.REASSIGN: {"staff_id": make_staff},
    Action.REVOKE: {"reason": "New device"},
    Action.CHECK_OUT: {"staff_id": make_staff, "due_at": lambda: in_days(3)},
    Action.CHECK_IN: {"condition_in": "fair"},
    Action.CHANGE_DUE_DATE: {"due_at": lambda: in_days(9)},
    Action.TRANSFER: {"location_id": lambda: make_location("Store")},
    Action.REPORT_LOST: {"description": "On the train"},
    Action.REPORT_BROKEN: {"description": "It fell", "broken_at": lambda: in_days(-1)},
    Action.SEND_TO_WARRANTY: {"problem": "No picture", "expected_back_on": "2030-01-31"},
    Action.LIQUIDATE: {"method": "sold", "proceeds": "180,00"},
    Action.RECEIVE_BACK: {"condition": "good"},
    Action.REPAIR: {},
    Action.FIND: {},
    Action.UNDO_LIQUIDATION: {"note": "It was the other one"},
}


@pytest.fixture
def pages(app: Flask) -> Pages:
    """An administrator at the browser."""
    person, visitor = make_user("admin"), Pages(app)
    visitor.sign_in(person.email, person.password)
    return visitor


def told() -> int:
    session().rollback()
    return session().execute(select(func.count(Event.id))).scalar_one()


def typed(action: Action) -> dict[str, Any]:
    return {name: value() if callable(value) else value for name, value in FILLED[action].items()}


@pytest.mark.parametrize("action", FILLED)
def test_it_acts_where_it_is_legal_and_says_why_not_elsewhere(pages: Pages, action: Action) -> None:
    slug, values = BY_ACTION[action].slug, None
    for status in AssetStatus:
        asset_id = asset_in(status)
        page = pages.get(f"/assets/{asset_id}/{slug}")
        reason = why_not(action, status)
        if reason:
            assert page.status == 409
            assert reason in page.main
            continue
        before, values = told(), values or typed(action)
        page = pages.submit(page.form(), **values)
        assert (page.status, page.path) == (200, f"/assets/{asset_id}"), page.errors
        assert told() == before + len(RULES[action].events)
        assert BY_ACTION[action].done.partition("{tag}")[2].split("{")[0] in page.text


@pytest.mark.parametrize("status", AssetStatus)
def test_the_page_offers_three_at_most_and_says_why_others_are_off(
    pages: Pages, status: AssetStatus
) -> None:
    asset_id = asset_in(status)
    page = pages.get(f"/assets/{asset_id}")
    panels = [node for node in page.root.walk() if "more-panel" in node.get("class").split()]
    offered = {node.get("href") for panel in panels for node in panel.find_all("a")}
    for action in FILLED:
        url, reason = f"/assets/{asset_id}/{BY_ACTION[action].slug}", why_not(action, status)
        assert (url in page.links()) is (reason is None)
        assert reason is None or f"It {reason}" in page.main
    actions = [node for node in page.root.walk() if "page-actions" in node.get("class").split()]
    in_front = {node.get("href") for node in actions[0].find_all("a")} - offered
    assert 1 <= len(in_front) <= 3


def test_a_deleted_asset_is_restored_from_its_page(pages: Pages) -> None:
    asset_id = asset_in(AssetStatus.AVAILABLE)
    act(Action.DELETE, asset_id)
    page = pages.follow("Restore") if pages.get(f"/assets/{asset_id}") else None
    assert page
    page = pages.submit(page.form(), note="Deleted by mistake")
    assert "AST-00001 is back in the register." in page.text
    assert assets.find_asset(asset_id).deleted_at is None


def test_who_has_it_and_how_late_stands_in_one_sentence(pages: Pages) -> None:
    asset_id = asset_in(AssetStatus.CHECKED_OUT)
    page = pages.get(f"/assets/{asset_id}")
    assert " until " in page.main
    assert "Overdue" not in page.main
