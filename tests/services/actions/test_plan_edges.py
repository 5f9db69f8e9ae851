"""Reservations and maintenance at their edges: the last moment, what is kept, what comes first."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from portal.lib.clock import frozen
from portal.models.planning import Maintenance, Reservation, ReservationState
from portal.services.actions import assignments
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import WorkValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session
from tests.services.actions.plan_examples import (
    at,
    last_body,
    make_maintenance,
    make_reservation,
    put_in,
    reservation,
    wish,
)
from tests.support.factories import make_asset, make_staff

pytestmark = pytest.mark.usefixtures("app")


def test_what_is_over_can_only_be_rejected() -> None:
    public_id = make_reservation(make_asset(), make_staff(), 0, 4)
    with frozen(at(4)), pytest.raises(Refusal, match="This reservation’s time has passed"):
        planning_reservations.approve(SYSTEM, public_id)
    with frozen(at(4) - timedelta(seconds=1)):
        planning_reservations.approve(SYSTEM, public_id)
    assert reservation(public_id).state == ReservationState.APPROVED


def test_a_wish_is_told_with_its_note_and_closed_when_it_is_turned_down() -> None:
    asset_id = make_asset()
    public_id = planning_reservations.reserve(SYSTEM, asset_id, wish(make_staff(), note="In a bag"))
    assert last_body()["data"]["note"] == "In a bag"
    with frozen(at(-1)):
        planning_reservations.reject(SYSTEM, public_id, "No")
    row = reservation(public_id)
    assert (row.reason, row.decided_at, row.closed_at) == ("No", at(-1), at(-1))


def test_of_two_reservations_that_stand_in_the_way_the_one_that_begins_first_is_told() -> None:
    asset_id = make_asset()
    make_reservation(asset_id, make_staff("Zoe"), 8, 12, approved=True)
    make_reservation(asset_id, make_staff("Ana"), 0, 4, approved=True)
    with pytest.raises(Refusal, match="Ana has reserved this"):
        assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Ben"))


def test_whoever_has_two_reservations_collects_the_one_that_begins_first() -> None:
    asset_id, maria = make_asset(), make_staff()
    later, sooner = (
        make_reservation(asset_id, maria, start, start + 2, approved=True) for start in (4, 0)
    )
    assignments.check_out(SYSTEM, asset_id, staff_id=maria, due_at=at(9))
    states = [reservation(each).state for each in (sooner, later)]
    assert states == [ReservationState.FULFILLED, ReservationState.APPROVED]


def test_what_is_planned_with_an_asset_comes_by_its_time() -> None:
    asset_id, maria = make_asset(), make_staff()
    wishes = [make_reservation(asset_id, maria, start, start + 1) for start in (6, 2, 4)]
    days = [today() + timedelta(days=each) for each in (9, 3, 6)]
    works = [make_maintenance(asset_id, due_on=day) for day in days]
    found = planning_queries.plans_of(asset_id)
    assert [each.public_id for each in found.reservations] == [wishes[n] for n in (1, 2, 0)]
    assert [each.public_id for each in found.maintenances] == [works[n] for n in (1, 2, 0)]


def test_a_plan_is_found_on_its_own_asset_alone() -> None:
    asset_id, other = make_asset(), make_asset()
    asked, planned = make_reservation(asset_id, make_staff()), make_maintenance(asset_id)
    assert planning_queries.find(Reservation, asset_id, asked).public_id == asked
    assert planning_queries.find(Maintenance, asset_id, planned).public_id == planned
    with pytest.raises(NotFound, match="no such reservation"):
        planning_queries.find(Reservation, other, asked)
    with pytest.raises(NotFound, match="no such maintenance"):
        planning_queries.find(Maintenance, other, planned)


def test_a_reservation_is_at_risk_while_nobody_knows_when_the_asset_is_free() -> None:
    for status, is_at_risk in (
        *((each, False) for each in ("available", "checked_out", "maintenance")),
        *((each, True) for each in ("allocated", "warranty", "broken")),
    ):
        asset_id = make_asset()
        public_id = make_reservation(asset_id, make_staff())
        put_in(asset_id, status)
        row = reservation(public_id)
        assert planning_queries.is_at_risk(row, row.asset) is is_at_risk, status
        planning_reservations.cancel(SYSTEM, public_id)
        row = reservation(public_id)
        assert not planning_queries.is_at_risk(row, row.asset), status


def test_what_repeats_is_planned_again_with_all_that_is_known_of_it() -> None:
    known = {"title": "Oil", "type": "inspection", "supplier": "Northwind", "repeat_every_days": 9}
    cost = Decimal("40.00")
    public_id = make_maintenance(make_asset(), **known, estimated_cost=cost, note="Bring the key")
    values = WorkValues(outcome="ok", completed_on=today(), cost=Decimal(35), note="Done")
    planning_maintenance.complete(SYSTEM, public_id, values)
    session().rollback()
    following = session().scalars(select(Maintenance).order_by(Maintenance.id.desc())).first()
    assert following is not None
    assert {name: getattr(following, name) for name in known} == known
    assert (following.estimated_cost, following.cost, following.note) == (cost, None, "")
