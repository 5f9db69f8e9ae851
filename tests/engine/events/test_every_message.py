"""Messages that every action and alert stores, checked against the schema and every chat."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from jobs import tasks as job
from portal.engine.events.catalogue import EventName
from portal.engine.events.details import UpdateReason
from portal.engine.formats.chats import CHATS, body_in
from portal.lib.clock import utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.alerts import RunKind
from portal.models.assets import Action, AssetStatus
from portal.models.deliveries import Event
from portal.models.planning import Reservation
from portal.services.actions import bulk, incidents, lifecycle, stock
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations
from portal.services.actions.planning.rules import PlanValues, WorkValues
from portal.services.actions.rules import RULES
from portal.services.alerts import runs
from portal.services.assets.fields import AssetValues
from portal.services.core.permissions import SYSTEM, Actor
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_task
from portal.services.task_kinds import KINDS
from tests.engine.events.message_schema import faults
from tests.engine.formats.posts import PLACE
from tests.services.actions.every_action import ACTS, act, asset_in
from tests.services.actions.plan_examples import make_reservation
from tests.services.actions.planned_asset import planned_in
from tests.services.actions.test_every_plan import STEPS
from tests.services.alerts.due_things import decided, lent, with_maintenance, with_warranty
from tests.support.chats import judge
from tests.support.factories import (
    make_asset,
    make_category,
    make_location,
    make_staff,
    make_user,
)

pytestmark = pytest.mark.usefixtures("app")


def bodies() -> Iterator[dict[str, Any]]:
    """Yield the bodies of all stored events."""
    session().rollback()
    return map(json.loads, session().scalars(select(Event.body).order_by(Event.id)))


def check_all() -> list[dict[str, Any]]:
    """Check that each stored body fits, and return all of them."""
    stored = list(bodies())
    for body in stored:
        assert faults(body) == [], body["event"]
        for chat in CHATS:
            assert judge(chat, body_in(chat, json.dumps(body).encode(), PLACE) or b"").facts
    return stored


def rich(by: Actor, **more: Any) -> int:
    """Create an asset with every field filled, and return its id."""
    values = AssetValues(
        name="Größe 4 \N{WRENCH}",
        category_id=make_category("Tools"),
        location_id=make_location("Studio"),
        manufacturer="Makita",
        model="DDF485",
        serial_number="S-1",
        supplier="Eisenkram",
        order_number="PO-1",
        purchase_date=date(2024, 2, 29),
        purchase_cost=Decimal("1249.5"),
        warranty_expires=utcnow().date() + timedelta(days=12),
        **more,
    )
    return lifecycle.create_asset(by, values)


def first_status(action: Action) -> AssetStatus:
    """Return the first status in which the action is allowed."""
    return next(status for status in AssetStatus if status in RULES[action].legal)


def every_act(by: Actor) -> None:
    for action in set(ACTS) - {Action.RESTORE, Action.START_MAINTENANCE}:
        act(action, asset_in(first_status(action)), by)
    gone = asset_in(AssetStatus.BROKEN)
    act(Action.DELETE, gone, by)
    act(Action.RESTORE, gone, by)


def every_plan() -> None:
    for action, step in STEPS.items():
        planned = planned_in(AssetStatus.AVAILABLE)
        if action is Action.COMPLETE_MAINTENANCE:
            planning_maintenance.start(SYSTEM, planned.work)
        step(planned)
    make_reservation(make_asset(), make_staff(), 1, 2)
    with writing() as current:
        past = utcnow() - timedelta(days=1)
        times = {"starts_at": past - timedelta(hours=1), "ends_at": past}
        current.execute(update(Reservation).values(times))
    assert reservations.expire_due(utcnow())


def every_move(by: Actor) -> None:
    paper = make_asset("Paper", by=by, kind="stock", quantity=40, min_quantity=10, unit="packs")
    stock.receive(by, paper, quantity=1)
    stock.issue(by, paper, quantity=35)  # low
    stock.adjust(by, paper, quantity=3)
    stock.adjust(by, paper, quantity=0, is_loss=True)
    make_asset("Toner", kind="stock", quantity=0, min_quantity=2)  # low without a move


def every_alert() -> None:
    with_warranty(12)
    with_warranty(0)
    with_maintenance(3)
    with_maintenance(-2)
    lent(30)
    lent(1)
    runs.run(RunKind.MANUAL)


def with_all_that_can_be_said(by: Actor) -> None:
    asset_id = rich(by)
    incidents.send_to_warranty(
        by,
        asset_id,
        ClaimValues(problem="x", rma_number="R-1", expected_back_on=date(2030, 1, 2)),
    )
    act(Action.RECEIVE_BACK, asset_id, by)
    sold = DisposalValues(method="sold", proceeds=Decimal(180), recipient="Second Life")
    incidents.liquidate(by, asset_id, sold)
    drill = make_asset("Drill", by=by)
    plan = PlanValues(
        title="Check",
        due_on=utcnow().date() - timedelta(days=9),
        repeat_every_days=30,
        assignee_id=make_staff(),
        supplier="Eisenkram",
        estimated_cost=Decimal(40),
    )
    work = planning_maintenance.schedule(by, drill, plan)
    done = WorkValues(
        outcome="repaired",
        completed_on=utcnow().date(),
        cost=Decimal("35.50"),
        performed_by_id=make_staff(),
    )
    planning_maintenance.complete(by, work, done)


def in_bulk_and_by_a_file(by: Actor) -> None:
    bulk.start(by, Action.ALLOCATE, [make_asset()], {"staff_id": make_staff(), "note": "New"})
    file = read_csv(b"name,purchase_cost\nDesk lamp,12\n")
    checked = import_task.upload(by, file)
    job.work(KINDS)
    import_task.confirm(by, checked)
    job.work(KINDS)


def test_every_stored_message_fits_the_schema_and_every_chat() -> None:
    ana = make_user(name="Ana Gruber").actor
    decided()
    every_act(ana)
    every_plan()
    every_move(ana)
    every_alert()
    with_all_that_can_be_said(ana)
    in_bulk_and_by_a_file(ana)
    stored = check_all()
    assert {body["event"] for body in stored} == set(EventName)
    reasons = {body["data"].get("reason") for body in stored if body["event"] == EventName.UPDATED}
    assert reasons == set(UpdateReason)
    assert {body["data"]["origin"] for body in stored} == {"ui", "cron", "bulk", "import"}
