"""Every asset action in every status through its service: effects and events."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.models.assets import Action, Activity, AssetStatus
from portal.models.assignments import Assignment
from portal.services.actions import lifecycle
from portal.services.actions.rules import RULES, why_not
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session
from tests.engine.events.message_schema import faults
from tests.services.actions.every_action import ACTS, act, asset_in
from tests.services.actions.plan_examples import bodies

pytestmark = pytest.mark.usefixtures("app")

# The resulting status by action. Other actions keep the status.
LEADS_TO = {
    Action.ALLOCATE: "allocated",
    Action.CHECK_OUT: "checked_out",
    Action.REVOKE: "available",
    Action.CHECK_IN: "available",
    Action.REPORT_LOST: "lost",
    Action.REPORT_BROKEN: "broken",
    Action.SEND_TO_WARRANTY: "warranty",
    Action.LIQUIDATE: "liquidated",
    Action.RECEIVE_BACK: "available",
    Action.REPAIR: "available",
    Action.FIND: "available",
    Action.UNDO_LIQUIDATION: "available",
    Action.START_MAINTENANCE: "maintenance",
}
# START_MAINTENANCE takes two steps in these tests: schedule, then start.
ONE_STEP = [action for action in ACTS if action is not Action.START_MAINTENANCE]
UPDATED = ["reason", "changed_fields", "changes"]
CONCERNS = {
    Action.CHANGE_DUE_DATE: "checkout",
    Action.RECEIVE_BACK: "claim",
    Action.REPAIR: "incident",
    Action.FIND: "incident",
    Action.UNDO_LIQUIDATION: "liquidation",
}


def bodies_since(count: int) -> list[dict[str, Any]]:
    return bodies()[count:]


def is_held(asset_id: int) -> bool:
    query = select(Assignment.id).where(
        Assignment.asset_id == asset_id, Assignment.ended_at.is_(None)
    )
    return session().execute(query).first() is not None


def check_refused(action: Action, asset_id: int) -> None:
    asset = lifecycle.find_asset(asset_id)
    before, count = (asset.status, asset.version), len(bodies_since(0))
    with pytest.raises(Refusal) as caught:
        act(action, asset_id)
    expected = why_not(action, asset.status, holder="Maria Lopez")
    assert caught.value.sentence == f"{asset.asset_tag} {expected}"
    asset = lifecycle.find_asset(asset_id)
    assert (asset.status, asset.version) == before
    assert bodies_since(count) == []


def check_done(action: Action, asset_id: int, status: AssetStatus) -> None:
    version, count = lifecycle.find_asset(asset_id).version, len(bodies_since(0))
    act(action, asset_id)
    bodies, asset = bodies_since(count), lifecycle.find_asset(asset_id)
    events = list(RULES[action].events)
    assert [body["event"] for body in bodies] == events
    assert asset.status == LEADS_TO.get(action, status)
    assert asset.version == version + len(events) == bodies[-1]["asset"]["version"]
    assert bodies[0]["data"]["status_from"] == status
    deleted = action is Action.DELETE
    assert bodies[-1]["data"]["status_to"] == (None if deleted else asset.status)
    told_in_timeline = session().scalars(select(Activity.event_id)).all()
    assert len(set(told_in_timeline)) == count + len(events)
    for body in bodies:
        check_keys(action, body)


def check_keys(action: Action, body: dict[str, Any]) -> None:
    """Check that keys and their order match the event catalog, which receivers rely on."""
    assert faults(body) == []
    sample = json.loads(sample_body(EventName(body["event"])))
    assert list(body) == list(sample)
    assert list(body["asset"]) == list(sample["asset"])
    added = list(sample["data"])
    if body["event"] == EventName.UPDATED and action in CONCERNS:
        added.append(CONCERNS[action])
        assert body["data"][CONCERNS[action]]
    assert list(body["data"]) == added


def test_legal_actions_are_taken_and_others_are_refused() -> None:
    for status in AssetStatus:
        for action in ONE_STEP:
            asset_id = asset_in(status)
            held = status in {AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT}
            assert is_held(asset_id) is held
            if why_not(action, status) is None:
                check_done(action, asset_id, status)
            else:
                check_refused(action, asset_id)
            asset = lifecycle.find_asset(asset_id)
            assert is_held(asset_id) is (asset.status in {"allocated", "checked_out"}), action


@pytest.mark.parametrize("action", ONE_STEP)
def test_a_deleted_asset_can_only_be_restored(action: Action) -> None:
    asset_id = asset_in(AssetStatus.BROKEN)
    act(Action.DELETE, asset_id)
    count = len(bodies_since(0))
    if action is not Action.RESTORE:
        with pytest.raises(NotFound, match="was deleted"):
            act(action, asset_id)
        assert bodies_since(count) == []
        return
    act(action, asset_id)
    (body,) = bodies_since(count)
    assert (body["event"], body["asset_id"]) == ("asset.updated", asset_id)
    assert body["data"]["reason"] == "restored"
    assert (body["data"]["status_from"], body["data"]["status_to"]) == (None, "broken")
    assert lifecycle.find_asset(asset_id).deleted_at is None
