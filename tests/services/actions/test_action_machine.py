"""Random sequences of actions never break the invariants of the asset register."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

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
from portal.models.assets import Action, Activity, Asset, StockMove
from portal.models.assignments import Assignment
from portal.models.deliveries import Event
from portal.models.planning import Maintenance
from portal.services.actions import lifecycle, stock
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.queries import plans_of
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.actions.rules import RULES, is_legal
from portal.services.core.permissions import SYSTEM, Actor
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session
from tests.services.actions.every_action import ACTS
from tests.support.factories import make_asset, make_staff

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def reserve(actor: Actor, asset_id: int) -> None:
    """Reserve for a new person in a week."""
    start = utcnow() + timedelta(days=7)
    wish = ReservationValues(
        staff_id=make_staff(), starts_at=start, ends_at=start + timedelta(days=1)
    )
    planning_reservations.reserve(actor, asset_id, wish)


def schedule(actor: Actor, asset_id: int) -> None:
    """Schedule maintenance, which repeats if the asset's version is odd."""
    repeats = lifecycle.find_asset(asset_id).version % 2
    days = 30 if repeats else None
    plan = PlanValues(title="Check", due_on=utcnow().date(), repeat_every_days=days)
    planning_maintenance.schedule(actor, asset_id, plan)


def wish_of(asset_id: int) -> UUID:
    """Return the soonest open reservation of the asset, or raise Refusal."""
    for reservation in plans_of(asset_id).reservations:
        return reservation.public_id
    raise Refusal("Nobody has reserved it.")


def work_on(asset_id: int) -> Maintenance:
    """Return the first open maintenance of the asset, or raise Refusal."""
    for maintenance in plans_of(asset_id).maintenances:
        return maintenance
    raise Refusal("Nothing is to be done to it.")


def complete(actor: Actor, asset_id: int) -> None:
    """Complete the first open maintenance of the asset."""
    done = WorkValues(outcome="repaired", completed_on=today())
    planning_maintenance.complete(actor, work_on(asset_id).public_id, done)


def count_again(actor: Actor, asset_id: int) -> None:
    """Adjust the stock to a different count."""
    there = lifecycle.find_asset(asset_id).quantity or 0
    stock.adjust(actor, asset_id, quantity=(there + 3) % 8)


def save_unchanged(actor: Actor, asset_id: int) -> None:
    asset = lifecycle.find_asset(asset_id)
    lifecycle.edit_asset(actor, asset_id, asset.version, lifecycle.values_of(asset))


DOINGS: dict[Action, Callable[[Actor, int], object]] = {
    **{action: act for action, act in ACTS.items() if action is not Action.START_MAINTENANCE},
    Action.RESERVE: reserve,
    Action.APPROVE_RESERVATION: lambda actor, of: planning_reservations.approve(actor, wish_of(of)),
    Action.REJECT_RESERVATION: lambda actor, of: planning_reservations.reject(
        actor, wish_of(of), "No"
    ),
    Action.CANCEL_RESERVATION: lambda actor, of: planning_reservations.cancel(actor, wish_of(of)),
    Action.SCHEDULE_MAINTENANCE: schedule,
    Action.START_MAINTENANCE: lambda actor, of: planning_maintenance.start(
        actor, work_on(of).public_id
    ),
    Action.COMPLETE_MAINTENANCE: complete,
    Action.CANCEL_MAINTENANCE: lambda actor, of: planning_maintenance.cancel(
        actor, work_on(of).public_id
    ),
    Action.RECEIVE_STOCK: lambda actor, of: stock.receive(actor, of, quantity=5),
    Action.ISSUE_STOCK: lambda actor, of: stock.issue(actor, of, quantity=4),
    Action.ADJUST_STOCK: count_again,
}


class Register(RuleBasedStateMachine):
    """Two single items and a consumable, with random actions on each."""

    @initialize()
    def add(self) -> None:
        self.ids = [make_asset(), make_asset(), make_asset("Toner", kind="stock", quantity=3)]
        self.told = self.count()

    def count(self) -> int:
        session().rollback()
        return session().execute(select(func.count(Event.id))).scalar_one()

    def bodies(self) -> list[dict[str, Any]]:
        newest = select(Event.body).order_by(Event.id).offset(self.told)
        return [json.loads(body) for body in session().scalars(newest)]

    @rule(which=st.integers(0, 2), action=st.sampled_from(sorted(DOINGS)))
    def do(self, which: int, action: Action) -> None:
        asset = lifecycle.find_asset(self.ids[which])
        status, version = asset.status, asset.version
        repeats = action is Action.COMPLETE_MAINTENANCE and self.repeats(asset.id)
        legal = is_legal(action, status, asset.kind, deleted=asset.deleted_at is not None)
        refused = self.attempt(action, asset.id)
        total = self.count()
        asset = lifecycle.find_asset(self.ids[which])
        if refused:
            assert (total, asset.status, asset.version) == (self.told, status, version)
            return
        assert legal, f"{action} was done while {status}"
        self.check_told(action, asset, version, repeats=repeats)
        self.told = total

    def repeats(self, asset_id: int) -> bool:
        planned = plans_of(asset_id).maintenances
        return bool(planned and planned[0].repeat_every_days)

    def attempt(self, action: Action, asset_id: int) -> bool:
        try:
            DOINGS[action](SYSTEM, asset_id)
        except Refusal:
            return True
        return False

    def check_told(self, action: Action, asset: Asset, version: int, *, repeats: bool) -> None:
        bodies, events = self.bodies(), list(RULES[action].events)
        if action is Action.COMPLETE_MAINTENANCE and not repeats:
            events = events[:1]
        if action is Action.APPROVE_RESERVATION:
            approved = [
                reservation
                for reservation in plans_of(asset.id).reservations
                if reservation.state == "approved"
            ]
            assert all(earlier.ends_at <= later.starts_at for earlier, later in pairwise(approved))
        assert [body["event"] for body in bodies] == events
        assert asset.version == version + len(bodies) == bodies[-1]["asset"]["version"]
        assert bodies[-1]["asset"]["status"] == asset.status
        held = asset.status in {"allocated", "checked_out"}
        assert (bodies[-1]["asset"]["holder"] is not None) is held

    @rule(which=st.integers(0, 2))
    def save_what_is_there(self, which: int) -> None:
        if lifecycle.find_asset(self.ids[which]).deleted_at is None:
            save_unchanged(SYSTEM, self.ids[which])
        assert self.count() == self.told

    @invariant()
    def somebody_has_it_exactly_while_its_status_says_so(self) -> None:
        session().rollback()
        held = select(Assignment.asset_id).where(Assignment.ended_at.is_(None))
        assigned = select(Asset.id).where(Asset.status.in_(("allocated", "checked_out")))
        assert sorted(session().scalars(held)) == sorted(session().scalars(assigned))

    @invariant()
    def a_stock_is_what_came_in_and_went_out(self) -> None:
        query = (
            select(Asset.quantity, func.sum(StockMove.delta))
            .join(StockMove, StockMove.asset_id == Asset.id)
            .where(Asset.id.in_(getattr(self, "ids", [])))
            .group_by(Asset.id)
        )
        for quantity, total in session().execute(query):
            assert quantity == total
            assert total >= 0

    @invariant()
    def every_event_has_its_line_in_the_timeline(self) -> None:
        lines = session().execute(select(func.count(Activity.event_id.distinct()))).scalar_one()
        assert lines == self.count()


def test_no_order_of_actions_breaks_an_invariant() -> None:
    run_state_machine_as_test(
        Register,
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
