"""Low stock alerts fire right after the change that caused them, once until restocked."""

from dataclasses import replace
from typing import Any

from flask import Flask
from sqlalchemy import select

from portal.models.alerts import RunKind
from portal.models.deliveries import Event
from portal.services.actions import incidents, lifecycle, stock
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session
from tests.services.alerts.due_things import bodies, decided, fired, ledger
from tests.support.factories import make_asset

LOW = "alert.low_stock"


def make_stock(quantity: int = 10, **values: Any) -> int:
    known = {"min_quantity": 5, "unit": "box"}
    return make_asset("Toner", kind="stock", quantity=quantity, **known | values)


def edit(asset_id: int, **values: Any) -> None:
    asset = lifecycle.find_asset(asset_id)
    lifecycle.edit_asset(
        SYSTEM, asset_id, asset.version, replace(lifecycle.values_of(asset), **values)
    )


def names() -> list[str]:
    session().rollback()
    return list(session().scalars(select(Event.event).order_by(Event.id)))


def test_an_alert_fires_once_after_the_move_that_caused_it(app: Flask) -> None:
    asset_id = make_stock(6)
    stock.issue(SYSTEM, asset_id, quantity=1)
    assert fired() == []  # five meet the threshold
    stock.issue(SYSTEM, asset_id, quantity=2)
    stock.issue(SYSTEM, asset_id, quantity=1)
    stock.adjust(SYSTEM, asset_id, quantity=1, is_loss=True)
    assert names()[1:] == ["asset.updated", "asset.updated", LOW, "asset.updated", "asset.updated"]
    (body,) = bodies()
    assert body["asset"]["version"] == 3  # the version after the move
    data = body["data"]
    assert (data["quantity"], data["shortfall"], data["unit"]) == (3, 2, "box")
    assert (data["last_move"]["type"], data["last_move"]["delta"]) == ("issue", -2)
    assert runs.run(RunKind.SCHEDULED) == {}


def test_enough_stock_or_a_lower_threshold_rearms_the_alert(app: Flask) -> None:
    asset_id = make_stock(5)
    stock.issue(SYSTEM, asset_id, quantity=1)
    stock.receive(SYSTEM, asset_id, quantity=1)
    assert ledger()[0].resolved_at is not None
    stock.issue(SYSTEM, asset_id, quantity=1)
    edit(asset_id, min_quantity=4)
    assert all(alert.resolved_at for alert in ledger())
    edit(asset_id, min_quantity=8)
    edit(asset_id, min_quantity=None)
    edit(asset_id, min_quantity=8)
    assert fired() == [(LOW, asset_id)] * 4
    assert [alert.resolved_at is None for alert in ledger()] == [False] * 3 + [True]


def test_before_the_first_answer_only_new_shortages_fire(app: Flask) -> None:
    was_low, falls = make_stock(3), make_stock(5)
    for asset_id in (was_low, falls):
        stock.issue(SYSTEM, asset_id, quantity=1)
    assert fired() == [(LOW, falls)]
    decided()
    stock.issue(SYSTEM, was_low, quantity=1)
    brought_in = make_stock(2)
    assert fired()[1:] == [(LOW, was_low), (LOW, brought_in)]


def test_the_daily_run_catches_up_on_alerts_that_were_turned_off(app: Flask) -> None:
    decided()
    alert_settings.save(SYSTEM, alert_settings.read().version, AlertRules(low_stock_on=False))
    asset_id = make_stock(5)
    stock.issue(SYSTEM, asset_id, quantity=1)
    assert runs.run(RunKind.SCHEDULED) == {}
    alert_settings.save(SYSTEM, alert_settings.read().version, AlertRules())
    assert runs.run(RunKind.SCHEDULED) == {LOW: 1}
    assert runs.run(RunKind.SCHEDULED) == {}
    assert fired() == [(LOW, asset_id)]


def test_deletion_ends_the_alert_and_restoring_fires_no_new_one(app: Flask) -> None:
    asset_id = make_stock(5)
    stock.issue(SYSTEM, asset_id, quantity=1)
    lifecycle.delete_asset(SYSTEM, asset_id)
    assert ledger()[0].resolved_at is not None
    assert runs.run(RunKind.SCHEDULED) == {}
    incidents.restore(SYSTEM, asset_id)
    assert fired() == [(LOW, asset_id)]
