"""Every reservation and maintenance step in every status, reached through real actions."""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from portal.models.assets import Action, AssetStatus
from portal.services.actions import lifecycle
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import PlanValues, WorkValues
from portal.services.actions.rules import RULES, why_not
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from tests.services.actions.plan_examples import maintenance, reservation, told, wish
from tests.services.actions.planned_asset import (
    CANCELS_ALL,
    LATER,
    Planned,
    is_to_be_taken,
    planned_in,
)
from tests.support.factories import make_staff

pytestmark = pytest.mark.usefixtures("app")

STEPS: Final[Mapping[Action, Callable[[Planned], object]]] = {
    Action.RESERVE: lambda it: planning_reservations.reserve(
        SYSTEM, it.asset_id, wish(make_staff(), LATER + 96, LATER + 97)
    ),
    Action.APPROVE_RESERVATION: lambda it: planning_reservations.approve(SYSTEM, it.asked),
    Action.REJECT_RESERVATION: lambda it: planning_reservations.reject(SYSTEM, it.other, "No"),
    Action.CANCEL_RESERVATION: lambda it: planning_reservations.cancel(SYSTEM, it.other),
    Action.SCHEDULE_MAINTENANCE: lambda it: planning_maintenance.schedule(
        SYSTEM, it.asset_id, PlanValues(title="Clean it", due_on=today())
    ),
    Action.START_MAINTENANCE: lambda it: planning_maintenance.start(SYSTEM, it.work),
    Action.COMPLETE_MAINTENANCE: lambda it: planning_maintenance.complete(
        SYSTEM, it.work, WorkValues(outcome="ok", completed_on=today())
    ),
    Action.CANCEL_MAINTENANCE: lambda it: planning_maintenance.cancel(SYSTEM, it.work),
}


def take(action: Action, status: AssetStatus) -> None:
    """Take the step on a new asset in this status and check the result against RULES."""
    planned, rule = planned_in(status), RULES[action]
    before, version = told(), lifecycle.find_asset(planned.asset_id).version
    if is_to_be_taken(action, status):
        STEPS[action](planned)
        assert told() == [*before, rule.event], status
        assert lifecycle.find_asset(planned.asset_id).version == version + 1, status
        return
    with pytest.raises(Refusal) as refused:
        STEPS[action](planned)
    asset = lifecycle.find_asset(planned.asset_id)
    if status in rule.legal:
        assert "is already canceled" in refused.value.sentence
    else:
        words = why_not(action, status, holder="Maria Lopez")
        assert refused.value.sentence == f"{asset.asset_tag} {words}"
    assert told() == before, status
    assert (asset.status, asset.version) == (status, version)


def test_each_step_is_taken_or_refused_according_to_the_rules() -> None:
    for action in STEPS:
        for status in AssetStatus:
            take(action, status)


def test_only_loss_and_disposal_cancel_plans() -> None:
    for status in AssetStatus:
        planned = planned_in(status)
        states = [
            reservation(planned.asked).state,
            reservation(planned.other).state,
            maintenance(planned.work).state,
        ]
        kept = ["pending", "pending", "scheduled"]
        assert states == (["cancelled"] * 3 if status in CANCELS_ALL else kept), status
