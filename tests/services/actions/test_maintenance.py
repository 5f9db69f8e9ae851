"""Maintenance: schedule, start, completion and its effects, repetition, cancellation."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from portal.engine.events.catalogue import EventName
from portal.models.assets import AssetStatus
from portal.models.assignments import Incident, Staff
from portal.models.deliveries import Event
from portal.models.planning import Maintenance, MaintenanceState
from portal.services.actions import incidents, lifecycle
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.planning.rules import PlanValues, WorkValues
from portal.services.assets.timeline import timeline
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from tests.services.actions import plan_examples
from tests.services.actions.plan_examples import (
    keys_of,
    last_body,
    make_maintenance,
    put_in,
    status_of,
    told,
)
from tests.support.factories import make_asset, make_staff, make_user

pytestmark = pytest.mark.usefixtures("app")


def done(outcome: str = "ok", **others: Any) -> WorkValues:
    """Build the result of work completed today."""
    return WorkValues(**{"outcome": outcome, "completed_on": today(), **others})


def state_of(public_id: Any) -> str:
    return plan_examples.maintenance(public_id).state


def test_the_scheduled_event_matches_the_catalog() -> None:
    ana, jonas, asset_id = make_user(), make_staff("Jonas Berg"), make_asset()
    public_id = make_maintenance(
        asset_id,
        by=ana.actor,
        type="inspection",
        repeat_every_days=365,
        assignee_id=jonas,
        estimated_cost=Decimal(40),
        note="Bring the tester",
    )
    body = last_body()
    assert body["event"] == "asset.maintenance_scheduled"
    assert list(body["data"]) == keys_of(EventName.MAINTENANCE_SCHEDULED)
    expected = {
        "maintenance_id": plan_examples.maintenance(public_id).id,
        "title": "Battery check",
        "type": "inspection",
        "due_on": "2030-05-03",
        "repeat_every_days": 365,
        "assignee": {"id": jonas, "name": "Jonas Berg"},
        "supplier": None,
        "estimated_cost": "40.00",
        "note": "Bring the tester",
    }
    assert body["data"].items() >= expected.items()
    assert timeline(asset_id).rows[0].note == "Battery check. Bring the tester"
    assert status_of(asset_id) == "available"


def test_the_completed_event_matches_the_catalog() -> None:
    jonas, asset_id = make_staff("Jonas Berg"), make_asset()
    public_id = make_maintenance(asset_id, started=True, due_on=today() - timedelta(days=3))
    planning_maintenance.complete(
        SYSTEM, public_id, done(cost=Decimal("35.5"), performed_by_id=jonas, note="All well")
    )
    body = last_body()
    assert body["event"] == "asset.maintenance_completed"
    assert list(body["data"]) == keys_of(EventName.MAINTENANCE_COMPLETED)
    expected = {
        "status_from": "maintenance",
        "status_to": "available",
        "completed_on": today().isoformat(),
        "was_late": True,
        "outcome": "ok",
        "cost": "35.50",
        "performed_by": {"id": jonas, "name": "Jonas Berg"},
        "next_maintenance": None,
        "note": "All well",
    }
    assert body["data"].items() >= expected.items()


def test_starting_puts_the_asset_into_maintenance() -> None:
    asset_id = make_asset()
    make_maintenance(asset_id, started=True)
    data = last_body()["data"]
    assert told() == ["asset.maintenance_scheduled", "asset.updated"]
    assert data["reason"] == "maintenance_started"
    assert data["changed_fields"] == ["status"]
    assert data["changes"]["status"] == {"from": "available", "to": "maintenance"}
    assert data["maintenance"]["state"] == "in_progress"
    assert status_of(asset_id) == "maintenance"


@pytest.mark.parametrize(
    ("status", "state", "outcome", "expected"),
    [
        ("maintenance", "in_progress", "ok", "available"),
        ("maintenance", "in_progress", "repaired", "available"),
        ("maintenance", "in_progress", "failed", "broken"),
        ("broken", "scheduled", "repaired", "available"),
        ("broken", "in_progress", "repaired", "available"),
        ("broken", "scheduled", "ok", "broken"),
        ("available", "scheduled", "failed", "available"),
        ("allocated", "scheduled", "repaired", "allocated"),
        ("checked_out", "scheduled", "failed", "checked_out"),
        ("warranty", "scheduled", "repaired", "warranty"),
        # The asset is in maintenance for a different job.
        ("maintenance", "scheduled", "ok", "maintenance"),
    ],
)
def test_completion_sets_the_status_of_the_asset(
    status: str, state: str, outcome: str, expected: str
) -> None:
    asset_id = make_asset()
    public_id = make_maintenance(asset_id, started=state == "in_progress")
    incidents.report_broken(SYSTEM, asset_id, description="It fell")
    put_in(asset_id, status)
    planning_maintenance.complete(SYSTEM, public_id, done(outcome))
    assert status_of(asset_id) == expected
    is_fit = expected == "available" != status
    assert [at is not None for at in session().scalars(select(Incident.closed_at))] == [is_fit]
    assert last_body()["data"]["status_to"] == expected
    assert state_of(public_id) == "completed"


def test_completing_repeating_maintenance_schedules_the_next() -> None:
    for status in ("maintenance", "warranty"):
        asset_id, jonas = make_asset(), make_staff()
        kept = {
            "title": "Yearly check",
            "type": "inspection",
            "repeat_every_days": 30,
            "assignee_id": jonas,
            "supplier": "Northwind",
            "estimated_cost": Decimal("12.50"),
        }
        public_id = make_maintenance(asset_id, started=True, note="Bring the key", **kept)
        put_in(asset_id, status)
        ended = done(completed_on=date(2026, 1, 15), cost=Decimal(35), note="Done")
        planning_maintenance.complete(SYSTEM, public_id, ended)
        completed, scheduled = told()[-2:]
        assert (completed, scheduled) == (
            "asset.maintenance_completed",
            "asset.maintenance_scheduled",
        ), status
        following = session().scalars(select(Maintenance).order_by(Maintenance.id.desc())).first()
        assert following is not None, status
        assert following.due_on == date(2026, 2, 14), status
        assert {name: getattr(following, name) for name in kept} == kept, status
        assert (following.cost, following.note) == (None, ""), status
        body = last_body()
        assert body["data"]["maintenance_id"] == following.id, status
        assert list(body["data"]) == keys_of(EventName.MAINTENANCE_SCHEDULED), status
        before = json.loads(
            session().scalars(select(Event.body).order_by(Event.id.desc())).all()[1]
        )
        assert before["data"]["next_maintenance"] == {"id": following.id, "due_on": "2026-02-14"}, (
            status
        )
        assert before["asset"]["version"] + 1 == body["asset"]["version"], status
        assert len(timeline(asset_id).rows) == 5, status


def test_former_staff_cannot_complete_work_and_are_not_assigned_again() -> None:
    asset_id, jonas = make_asset(), make_staff()
    public_id = make_maintenance(asset_id, repeat_every_days=30, assignee_id=jonas)
    with writing() as current:
        current.get_one(Staff, jonas).is_active = False
    with pytest.raises(Refusal, match="is former staff") as refused:
        planning_maintenance.complete(SYSTEM, public_id, done(performed_by_id=jonas))
    assert refused.value.field == "performed_by_id"
    planning_maintenance.complete(SYSTEM, public_id, done())
    assert last_body()["data"]["assignee"] is None


def test_canceling_started_work_restores_the_status_of_the_asset() -> None:
    for status in ("available", "broken"):
        asset_id = make_asset()
        put_in(asset_id, status)
        public_id = make_maintenance(asset_id, started=True)
        planning_maintenance.cancel(SYSTEM, public_id, "The technician is ill")
        data = last_body()["data"]
        assert status_of(asset_id) == status
        assert (data["reason"], data["note"]) == ("maintenance_cancelled", "The technician is ill")
        assert data["changed_fields"] == ["status"]


def test_canceling_scheduled_work_keeps_the_status_of_the_asset() -> None:
    asset_id = make_asset()
    put_in(asset_id, "warranty")
    put_in(asset_id, "available")
    public_id = make_maintenance(asset_id)
    planning_maintenance.cancel(SYSTEM, public_id)
    assert last_body()["data"]["changed_fields"] == []
    assert state_of(public_id) == "cancelled"


def test_canceling_work_on_a_broken_asset_leaves_it_broken() -> None:
    asset_id = make_asset()
    public_id = make_maintenance(asset_id, started=True)
    incidents.report_broken(SYSTEM, asset_id, description="It fell")
    planning_maintenance.cancel(SYSTEM, public_id)
    assert (status_of(asset_id), state_of(public_id)) == ("broken", "cancelled")


def test_only_one_maintenance_can_be_in_progress() -> None:
    asset_id = make_asset()
    make_maintenance(asset_id, title="New fan", started=True)
    second = make_maintenance(asset_id)
    with pytest.raises(Refusal, match=r"AST-00001 is in maintenance"):
        planning_maintenance.start(SYSTEM, second)
    put_in(asset_id, AssetStatus.BROKEN)  # reported while it was worked on
    with pytest.raises(Refusal, match="“New fan” is in progress on AST-00001"):
        planning_maintenance.start(SYSTEM, second)


def test_an_asset_in_maintenance_cannot_be_deleted() -> None:
    at_work, other = make_asset(asset_tag="SAW-1"), make_asset()
    make_maintenance(at_work, started=True)
    lifecycle.delete_asset(SYSTEM, other)
    put_in(at_work, "broken")  # reported meanwhile
    with pytest.raises(Refusal, match="SAW-1 is in maintenance"):
        lifecycle.delete_asset(SYSTEM, at_work)


def test_an_invalid_plan_is_refused_at_its_field() -> None:
    for values, field in (
        ({"title": ""}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"type": "magic"}, "type"),
        ({"due_on": None}, "due_on"),
        ({"due_on": date(9999, 1, 1)}, "due_on"),
        ({"repeat_every_days": 0}, "repeat_every_days"),
        ({"estimated_cost": Decimal(-1)}, "estimated_cost"),
        ({"estimated_cost": Decimal("1.005")}, "estimated_cost"),
        ({"assignee_id": 999}, "assignee_id"),
    ):
        asset_id = make_asset()
        known: dict[str, Any] = {"title": "Check", "due_on": date(2030, 1, 1)}
        with pytest.raises(Refusal) as refused:
            planning_maintenance.schedule(SYSTEM, asset_id, PlanValues(**known | values))
        assert refused.value.field == field, values
        assert told() == [], values


def test_a_completion_date_in_the_future_is_refused_at_its_field() -> None:
    public_id = make_maintenance(make_asset())
    with pytest.raises(Refusal) as refused:
        planning_maintenance.complete(
            SYSTEM, public_id, done(completed_on=today() + timedelta(days=1))
        )
    assert refused.value.field == "completed_on"


def test_open_maintenance_is_canceled_together_without_events() -> None:
    asset_id = make_asset()
    ids = [make_maintenance(asset_id, started=True), make_maintenance(asset_id)]
    before = told()
    with writing() as current:
        assert planning_queries.in_progress(current, asset_id)
        cancelled = planning_queries.cancel_open_maintenance(current, asset_id)
        assert not planning_queries.in_progress(current, asset_id)
    assert cancelled == [plan_examples.maintenance(public_id).id for public_id in ids]
    assert {state_of(public_id) for public_id in ids} == {MaintenanceState.CANCELLED}
    assert told() == before
