"""Ending an alert leaves other alerts open and keeps earlier end times."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.alerts import RunKind
from portal.models.planning import Maintenance
from portal.services.actions import assignments, incidents, lifecycle, stock
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning.rules import WorkValues
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session
from tests.services.actions.plan_examples import make_maintenance
from tests.services.alerts.due_things import decided, in_days, ledger, lent, with_warranty
from tests.support.factories import make_asset, make_staff

WARRANTY, DUE = "alert.warranty_expiring", "alert.maintenance_due"
LATE, LOW = "alert.checkout_overdue", "alert.low_stock"


class Register(NamedTuple):
    """Three assets with something due: one checked out, one available, one consumable."""

    lent: int
    kept: int
    stock: int


def make_register() -> Register:
    kept = with_warranty(10)
    make_maintenance(kept, due_on=today() + timedelta(days=3))
    return Register(
        lent(3), kept, make_asset("Toner", kind="stock", quantity=3, min_quantity=5, unit="box")
    )


def work_of(asset_id: int) -> Maintenance:
    session().rollback()
    return session().scalars(select(Maintenance).where(Maintenance.asset_id == asset_id)).one()


def give_warranty(asset_id: int, ends: date | None) -> None:
    asset = lifecycle.find_asset(asset_id)
    values = replace(lifecycle.values_of(asset), warranty_expires=ends)
    lifecycle.edit_asset(SYSTEM, asset_id, asset.version, values)


def complete(asset_id: int) -> None:
    values = WorkValues(completed_on=today(), outcome="ok")
    planning_maintenance.complete(SYSTEM, work_of(asset_id).public_id, values)


# The asset, the action on it, and the alerts that the action ends.
ENDS: dict[str, tuple[str, Callable[[int], object], set[str]]] = {
    "brought back": ("lent", lambda a: assignments.check_in(SYSTEM, a), {LATE}),
    "kept longer": (
        "lent",
        lambda a: assignments.change_due_date(SYSTEM, a, due_at=in_days(2)),
        {LATE},
    ),
    "lost": ("lent", lambda a: incidents.report_lost(SYSTEM, a, description="Gone"), {LATE}),
    "a later warranty": ("kept", lambda a: give_warranty(a, today() + timedelta(20)), {WARRANTY}),
    "no warranty": ("kept", lambda a: give_warranty(a, None), {WARRANTY}),
    "the work begun": (
        "kept",
        lambda a: planning_maintenance.start(SYSTEM, work_of(a).public_id),
        {DUE},
    ),
    "the work done": ("kept", complete, {DUE}),
    "the work called off": (
        "kept",
        lambda a: planning_maintenance.cancel(SYSTEM, work_of(a).public_id),
        {DUE},
    ),
    "what is kept lost": (
        "kept",
        lambda a: incidents.report_lost(SYSTEM, a, description="Gone"),
        {DUE, WARRANTY},
    ),
    "deleted": ("kept", lambda a: lifecycle.delete_asset(SYSTEM, a), {DUE, WARRANTY}),
    "enough again": ("stock", lambda a: stock.receive(SYSTEM, a, quantity=2), {LOW}),
    "not enough yet": ("stock", lambda a: stock.receive(SYSTEM, a, quantity=1), set()),
    "given to somebody for good": (
        "kept",
        lambda a: assignments.allocate(SYSTEM, a, staff_id=make_staff()),
        set(),
    ),
    "saved while it is lent": ("lent", lambda a: give_warranty(a, today() + timedelta(90)), set()),
    "renamed": (
        "kept",
        lambda a: give_warranty(a, lifecycle.find_asset(a).warranty_expires),
        set(),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_action_ends_only_its_own_alerts(app: Flask, name: str) -> None:
    decided()
    first, second = make_register(), make_register()
    runs.run(RunKind.SCHEDULED)
    assert [alert.resolved_at for alert in ledger()] == [None] * 8
    whose, verb, ended = ENDS[name]
    asset_id = getattr(first, whose)
    verb(asset_id)
    over = {(alert.asset_id, alert.event) for alert in ledger() if alert.resolved_at is not None}
    assert over == {(asset_id, event) for event in ended}
    changed_at = lifecycle.find_asset(asset_id).updated_at if name != "deleted" else None
    if changed_at:
        assert {alert.resolved_at for alert in ledger() if alert.resolved_at} <= {changed_at}
    assert {alert.asset_id for alert in ledger()} == {*first, *second}


def test_an_ended_alert_keeps_its_end_time(app: Flask) -> None:
    decided()
    asset_id = with_warranty(10)
    runs.run(RunKind.SCHEDULED)
    for days in (12, 14):
        give_warranty(asset_id, today() + timedelta(days=days))
        runs.run(RunKind.SCHEDULED)
    times = [alert.resolved_at for alert in ledger()]
    assert times[2] is None
    assert times[0] is not None
    assert times[1] is not None
    assert times[0] < times[1]


def test_a_reminder_replaces_earlier_alerts_of_its_own_check_out_only(app: Flask) -> None:
    decided()
    settings = alert_settings.read()
    rules = replace(settings.rules, repeat_every_days=1)
    alert_settings.save(SYSTEM, settings.version, rules)
    first, second = lent(3), lent(3)
    give_warranty(first, today() + timedelta(days=10))
    runs.run(RunKind.SCHEDULED)
    earlier = {(alert.asset_id, alert.event): alert.id for alert in ledger()}
    assignments.change_due_date(SYSTEM, second, due_at=in_days(3))
    ended_at = next(alert.resolved_at for alert in ledger() if alert.asset_id == second)
    now = in_days(1.5)
    runs.run(RunKind.SCHEDULED, now)
    standing = {alert.id for alert in ledger() if alert.resolved_at is None}
    assert standing - set(earlier.values()) == {ledger()[-1].id}
    assert standing & set(earlier.values()) == {earlier[first, WARRANTY]}
    by_id = {alert.id: alert.resolved_at for alert in ledger()}
    assert by_id[earlier[first, LATE]] == now
    assert by_id[earlier[second, LATE]] == ended_at


def test_each_alert_refers_to_its_event_and_its_subject(app: Flask) -> None:
    decided()
    register = make_register()
    runs.run(RunKind.SCHEDULED)
    lines = {alert.event: alert for alert in ledger()}
    assert len({alert.event_id for alert in lines.values()} - {None}) == 4
    work = work_of(register.kept)
    assert [name for name, alert in lines.items() if alert.maintenance_id == work.id] == [DUE]
    assert [name for name, alert in lines.items() if alert.assignment_id is not None] == [LATE]
    assert lifecycle.find_asset(register.stock).low_stock_alerted_at == lines[LOW].fired_at
    assert lines[WARRANTY].details["days_left"] == 10
