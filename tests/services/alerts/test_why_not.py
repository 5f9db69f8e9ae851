"""Each alert that did not fire has one reason, the same as in the check."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.alerts import RunKind
from portal.models.assets import Asset
from portal.services.actions import assignments, incidents
from portal.services.actions.planning import maintenance
from portal.services.alerts import runs, why_not
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules, Kept
from portal.services.alerts.why_not import Answer
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from tests.services.actions.plan_examples import make_maintenance
from tests.services.alerts.due_things import (
    decided,
    fired,
    ledger,
    lent,
    with_maintenance,
    with_warranty,
)
from tests.support.factories import make_asset, make_staff

LATE, WORK = EventName.CHECKOUT_OVERDUE, EventName.MAINTENANCE_DUE
LOW, WARRANTY = EventName.LOW_STOCK, EventName.WARRANTY_EXPIRING


def on_loan(**values: Any) -> int:
    asset_id = make_asset()
    assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), **values)
    return asset_id


def given() -> int:
    asset_id = make_asset()
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    return asset_id


def returned() -> int:
    asset_id = lent(3)
    assignments.check_in(SYSTEM, asset_id)
    return asset_id


def called_off() -> int:
    asset_id = make_asset()
    maintenance.cancel(SYSTEM, make_maintenance(asset_id, due_on=today()))
    return asset_id


def started() -> int:
    asset_id = make_asset()
    maintenance.start(SYSTEM, make_maintenance(asset_id, due_on=today()))
    return asset_id


def lost() -> int:
    asset_id = with_warranty(3)
    incidents.report_lost(SYSTEM, asset_id, description="Gone")
    return asset_id


def consumable(quantity: int, least: int | None) -> int:
    return make_asset(kind="stock", quantity=quantity, min_quantity=least)


def answers(asset_id: int, event: EventName) -> list[Answer]:
    session().rollback()
    asset = session().get_one(Asset, asset_id)
    return why_not.why_not(asset, event, alert_settings.moment(utcnow()))


# Factory, kind of alert, and the reason why it does not fire. None means that it fires.
CASES: dict[str, tuple[Callable[[], int], EventName, Kept | None]] = {
    "free": (make_asset, LATE, Kept.UNSET),
    "given without a due date": (given, LATE, Kept.UNSET),
    "out for a while": (
        lambda: on_loan(due_at=utcnow() + timedelta(days=2)),
        LATE,
        Kept.EARLY,
    ),
    "late": (lambda: lent(3), LATE, None),
    "late, and back": (returned, LATE, Kept.UNSET),
    "no work": (make_asset, WORK, Kept.UNSET),
    "work next month": (lambda: with_maintenance(31), WORK, Kept.EARLY),
    "work at hand": (started, WORK, Kept.STARTED),
    "work called off": (called_off, WORK, Kept.UNSET),
    "work next week": (lambda: with_maintenance(7), WORK, None),
    "no threshold": (lambda: consumable(0, None), LOW, Kept.UNSET),
    "enough": (lambda: consumable(5, 5), LOW, Kept.ENOUGH),
    "low": (lambda: consumable(4, 5), LOW, None),
    "no warranty": (make_asset, WARRANTY, Kept.UNSET),
    "warranty for long": (lambda: with_warranty(31), WARRANTY, Kept.EARLY),
    "warranty over": (lambda: with_warranty(-1), WARRANTY, Kept.PAST),
    "warranty of what is lost": (lost, WARRANTY, Kept.GONE),
    "warranty soon": (lambda: with_warranty(30), WARRANTY, None),
}


@pytest.mark.both_databases
def test_each_answer_agrees_with_the_check(app: Flask) -> None:
    made = {name: make() for name, (make, _, _) in CASES.items()}
    decided()
    for name, (_, event, kept) in CASES.items():
        assert [answer.kept for answer in answers(made[name], event)] == [kept], name
    due = {(event, made[name]) for name, (_, event, kept) in CASES.items() if kept is None}
    runs.run(RunKind.MANUAL)
    assert set(fired()) == due
    assert len(fired()) == len(due)
    for name, (_, event, kept) in CASES.items():
        results = answers(made[name], event)
        assert [answer.kept for answer in results] == [kept or Kept.SENT], name
        sent = {(alert.asset_id, alert.event): alert.id for alert in ledger()}
        assert [answer.alert and answer.alert.id for answer in results] == [
            sent.get((made[name], event))
        ]


def test_a_disabled_kind_is_off_regardless_of_due_dates(app: Flask) -> None:
    off = {f"{name}_on": False for name in ("warranty", "maintenance", "overdue", "low_stock")}
    alert_settings.save(SYSTEM, 0, replace(AlertRules(), **off))
    for name, (make, event, kept) in CASES.items():
        if kept is not Kept.UNSET or event in (LOW, WARRANTY):
            assert [answer.kept for answer in answers(make(), event)] == [Kept.OFF], name


def test_each_maintenance_of_an_asset_has_its_own_answer(app: Flask) -> None:
    decided()
    asset_id = with_maintenance(2)
    runs.run(RunKind.MANUAL)
    make_maintenance(asset_id, title="Oil", due_on=today() + timedelta(days=60))
    results = answers(asset_id, WORK)
    assert [(answer.kept, answer.title == "Oil") for answer in results] == [
        (Kept.SENT, False),
        (Kept.EARLY, True),
    ]


def test_a_due_reminder_is_not_answered_as_sent(app: Flask) -> None:
    decided()
    asset_id = lent(30)
    runs.run(RunKind.MANUAL)
    assert answers(asset_id, LATE)[0].kept is Kept.SENT
    alert_settings.save(SYSTEM, alert_settings.read().version, AlertRules(repeat_every_days=1))
    assert answers(asset_id, LATE)[0].kept is None


def test_soonest_is_the_first_date_after_the_window_of_present_assets(app: Flask) -> None:
    for event in (WARRANTY, WORK):
        assert why_not.soonest(event, utcnow()) is None
    warranties = [with_warranty(days) for days in (60, 41, 50, 3)]
    works = [with_maintenance(days) for days in (60, 41, 50, 3)]
    for event, asset_ids in ((WARRANTY, warranties), (WORK, works)):
        found = why_not.soonest(event, utcnow())
        assert found is not None
        assert (found[0].id, found[1].kept) == (asset_ids[1], Kept.EARLY)
    with writing() as current:
        current.execute(update(Asset).where(Asset.id == works[1]).values(deleted_at=utcnow()))
    incidents.report_lost(SYSTEM, warranties[1], description="Gone")
    for event in (WORK, WARRANTY):
        found = why_not.soonest(event, utcnow())
        assert found is not None
        assert found[1].by == today() + timedelta(days=50)
    assert why_not.soonest(LOW, utcnow()) is None
    assert why_not.soonest(LATE, utcnow()) is None
