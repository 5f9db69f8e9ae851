"""Whatever people do to assets in whatever order, the register's invariants hold."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from portal.lib.clock import utcnow
from portal.models.assets import Activity, Asset
from portal.models.deliveries import Event
from portal.models.holdings import Assignment
from portal.services import assets, maintaining, reserving
from portal.services.legality import RULES, Action, is_legal
from portal.services.permissions import SYSTEM, Actor
from portal.services.planning_rules import PlanValues, ReservationValues
from portal.services.refusals import Refusal
from portal.services.unit import session
from tests.factories import make_asset, make_staff
from tests.services.acting import ACTS

pytestmark = pytest.mark.usefixtures("app")


def reserve(actor: Actor, asset_id: int) -> None:
    """Somebody new wants it in a week."""
    start = utcnow() + timedelta(days=7)
    wish = ReservationValues(
        staff_id=make_staff(), starts_at=start, ends_at=start + timedelta(days=1)
    )
    reserving.reserve(actor, asset_id, wish)


def schedule(actor: Actor, asset_id: int) -> None:
    """Some work is planned."""
    plan = PlanValues(title="Check", due_on=utcnow().date())
    maintaining.schedule(actor, asset_id, plan)


def save_unchanged(actor: Actor, asset_id: int) -> None:
    """A save that changes nothing."""
    asset = assets.find_asset(asset_id)
    assets.edit_asset(actor, asset_id, asset.version, assets.values_of(asset))


DOINGS: dict[Action, Callable[[Actor, int], object]] = {
    **{action: act for action, act in ACTS.items() if action is not Action.START_MAINTENANCE},
    Action.RESERVE: reserve,
    Action.SCHEDULE_MAINTENANCE: schedule,
}


class Register(RuleBasedStateMachine):
    """Two assets, and people who do anything with them."""

    @initialize()
    def add(self) -> None:
        self.ids = [make_asset(), make_asset()]
        self.told = self.count()

    def count(self) -> int:
        session().rollback()
        return session().execute(select(func.count(Event.id))).scalar_one()

    def bodies(self) -> list[dict[str, Any]]:
        newest = select(Event.body).order_by(Event.id).offset(self.told)
        return [json.loads(body) for body in session().scalars(newest)]

    @rule(which=st.integers(0, 1), action=st.sampled_from(sorted(DOINGS)))
    def do(self, which: int, action: Action) -> None:
        asset = assets.find_asset(self.ids[which])
        status, version = asset.status, asset.version
        legal = is_legal(action, status, asset.kind, deleted=asset.deleted_at is not None)
        refused = self.attempt(action, asset.id)
        total = self.count()
        asset = assets.find_asset(self.ids[which])
        if refused:
            assert (total, asset.status, asset.version) == (self.told, status, version)
            return
        assert legal, f"{action} was done while {status}"
        self.check_told(action, asset, version)
        self.told = total

    def attempt(self, action: Action, asset_id: int) -> bool:
        try:
            DOINGS[action](SYSTEM, asset_id)
        except Refusal:
            return True
        return False

    def check_told(self, action: Action, asset: Asset, version: int) -> None:
        bodies = self.bodies()
        assert [body["event"] for body in bodies] == list(RULES[action].events)
        assert asset.version == version + len(bodies) == bodies[-1]["asset"]["version"]
        assert bodies[-1]["asset"]["status"] == asset.status
        held = asset.status in {"allocated", "checked_out"}
        assert (bodies[-1]["asset"]["holder"] is not None) is held

    @rule(which=st.integers(0, 1))
    def save_what_is_there(self, which: int) -> None:
        if assets.find_asset(self.ids[which]).deleted_at is None:
            save_unchanged(SYSTEM, self.ids[which])
        assert self.count() == self.told

    @invariant()
    def somebody_has_it_exactly_while_its_status_says_so(self) -> None:
        for asset_id in getattr(self, "ids", []):
            session().rollback()
            wanted = select(func.count(Assignment.id)).where(
                Assignment.asset_id == asset_id, Assignment.ended_at.is_(None)
            )
            held = assets.find_asset(asset_id).status in {"allocated", "checked_out"}
            assert session().execute(wanted).scalar_one() == int(held)

    @invariant()
    def every_event_has_its_line_in_the_timeline(self) -> None:
        lines = session().execute(select(func.count(Activity.event_id.distinct()))).scalar_one()
        assert lines == self.count()


def test_no_order_of_actions_breaks_the_register() -> None:
    run_state_machine_as_test(
        Register,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
