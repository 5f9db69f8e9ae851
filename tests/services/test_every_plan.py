"""Every step of reservations and maintenance in every status that real actions bring about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import pytest

from portal.models.assets import AssetStatus
from portal.services import assets, maintaining, reserving
from portal.services.legality import RULES, Action
from portal.services.obstacles import why_not
from portal.services.permissions import SYSTEM
from portal.services.planning_rules import PlanValues, WorkValues
from portal.services.refusals import Refusal
from portal.services.told_times import today
from tests.factories import make_asset, make_staff
from tests.services.acting import WAY_TO, act
from tests.services.planning import (
    maintenance,
    make_maintenance,
    make_reservation,
    reservation,
    told,
    wish,
)

pytestmark = pytest.mark.usefixtures("app")

# Long after whatever the other actions lend until.
LATER: Final = 24 * 30


@dataclass(frozen=True, slots=True)
class Planned:
    """An asset that two people asked for, with work to be done."""

    asset_id: int
    asked: UUID
    other: UUID
    work: UUID


STEPS: Final[Mapping[Action, Callable[[Planned], object]]] = {
    Action.RESERVE: lambda it: reserving.reserve(
        SYSTEM, it.asset_id, wish(make_staff(), LATER + 96, LATER + 97)
    ),
    Action.APPROVE_RESERVATION: lambda it: reserving.approve(SYSTEM, it.asked),
    Action.REJECT_RESERVATION: lambda it: reserving.reject(SYSTEM, it.other, "No"),
    Action.CANCEL_RESERVATION: lambda it: reserving.cancel(SYSTEM, it.other),
    Action.SCHEDULE_MAINTENANCE: lambda it: maintaining.schedule(
        SYSTEM, it.asset_id, PlanValues(title="Clean it", due_on=today())
    ),
    Action.START_MAINTENANCE: lambda it: maintaining.start(SYSTEM, it.work),
    Action.COMPLETE_MAINTENANCE: lambda it: maintaining.complete(
        SYSTEM, it.work, WorkValues(outcome="ok", completed_on=today())
    ),
    Action.CANCEL_MAINTENANCE: lambda it: maintaining.call_off(SYSTEM, it.work),
}
CANCELS_ALL: Final = (AssetStatus.LOST, AssetStatus.LIQUIDATED)


def planned_in(status: AssetStatus) -> Planned:
    """Planned while it was free, then brought into the status by the action that leads there."""
    asset_id = make_asset()
    asked = make_reservation(asset_id, make_staff(), LATER, LATER + 24)
    other = make_reservation(asset_id, make_staff(), LATER + 48, LATER + 72)
    it = Planned(asset_id, asked, other, make_maintenance(asset_id))
    way = WAY_TO[status]
    if way:
        act(way, asset_id)
    return it


def take(action: Action, status: AssetStatus) -> None:
    """Take the step on a new asset in this status, and see that the table's word is kept."""
    it, rule = planned_in(status), RULES[action]
    before, version = told(), assets.find_asset(it.asset_id).version
    if status in rule.legal and not (status in CANCELS_ALL and "cancel" in action):
        STEPS[action](it)
        assert told() == [*before, rule.event], status
        assert assets.find_asset(it.asset_id).version == version + 1, status
        return
    with pytest.raises(Refusal) as refused:
        STEPS[action](it)
    asset = assets.find_asset(it.asset_id)
    if status in rule.legal:
        assert "has been cancelled already" in refused.value.sentence
    else:
        assert refused.value.sentence == f"{asset.asset_tag} {why_not(action, status)}"
    assert told() == before, status
    assert (asset.status, asset.version) == (status, version)


@pytest.mark.parametrize("action", STEPS)
def test_a_step_is_taken_or_refused_as_the_table_says(action: Action) -> None:
    for status in AssetStatus:
        take(action, status)


def test_only_losing_and_disposing_cancel_what_was_planned() -> None:
    for status in AssetStatus:
        it = planned_in(status)
        found = [
            reservation(it.asked).state,
            reservation(it.other).state,
            maintenance(it.work).state,
        ]
        kept = ["pending", "pending", "scheduled"]
        assert found == (["cancelled"] * 3 if status in CANCELS_ALL else kept), status
