"""Whatever ends an alert ends that one alone, and rewrites nothing that ended before."""

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
    """Assets of which something is due: one that is lent, one that is kept, one that is stock."""

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


# What is done to which asset, and the alerts that are over by it.
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
def test_it_ends_the_alerts_of_its_own_matter_and_no_other(app: Flask, name: str) -> None:
    decided()
    first, second = make_register(), make_register()
    runs.run(RunKind.SCHEDULED)
    assert [each.resolved_at for each in ledger()] == [None] * 8
    whose, verb, ended = ENDS[name]
    asset_id = getattr(first, whose)
    verb(asset_id)
    over = {(each.asset_id, each.event) for each in ledger() if each.resolved_at is not None}
    assert over == {(asset_id, event) for event in ended}
    changed_at = lifecycle.find_asset(asset_id).updated_at if name != "deleted" else None
    if changed_at:
        assert {each.resolved_at for each in ledger() if each.resolved_at} <= {changed_at}
    assert {each.asset_id for each in ledger()} == {*first, *second}


def test_what_has_ended_once_keeps_the_time_at_which_it_did(app: Flask) -> None:
    decided()
    asset_id = with_warranty(10)
    runs.run(RunKind.SCHEDULED)
    for days in (12, 14):
        give_warranty(asset_id, today() + timedelta(days=days))
        runs.run(RunKind.SCHEDULED)
    times = [each.resolved_at for each in ledger()]
    assert times[2] is None
    assert times[0] is not None
    assert times[1] is not None
    assert times[0] < times[1]


def test_a_reminder_stands_for_those_before_it_of_its_own_check_out_alone(app: Flask) -> None:
    decided()
    settings = alert_settings.read()
    rules = replace(settings.rules, repeat_every_days=1)
    alert_settings.save(SYSTEM, settings.version, rules)
    first, second = lent(3), lent(3)
    give_warranty(first, today() + timedelta(days=10))
    runs.run(RunKind.SCHEDULED)
    earlier = {(each.asset_id, each.event): each.id for each in ledger()}
    assignments.change_due_date(SYSTEM, second, due_at=in_days(3))
    ended_at = next(each.resolved_at for each in ledger() if each.asset_id == second)
    now = in_days(1.5)
    runs.run(RunKind.SCHEDULED, now)
    standing = {each.id for each in ledger() if each.resolved_at is None}
    assert standing - set(earlier.values()) == {ledger()[-1].id}
    assert standing & set(earlier.values()) == {earlier[first, WARRANTY]}
    by_id = {each.id: each.resolved_at for each in ledger()}
    assert by_id[earlier[first, LATE]] == now
    assert by_id[earlier[second, LATE]] == ended_at


def test_each_alert_knows_the_event_that_told_of_it_and_what_it_is_about(app: Flask) -> None:
    decided()
    register = make_register()
    runs.run(RunKind.SCHEDULED)
    lines = {each.event: each for each in ledger()}
    assert len({each.event_id for each in lines.values()} - {None}) == 4
    work = work_of(register.kept)
    assert [name for name, each in lines.items() if each.maintenance_id == work.id] == [DUE]
    assert [name for name, each in lines.items() if each.assignment_id is not None] == [LATE]
    assert lifecycle.find_asset(register.stock).low_stock_alerted_at == lines[LOW].fired_at
    assert lines[WARRANTY].details["days_left"] == 10
