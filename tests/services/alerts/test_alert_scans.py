"""Alert scans read only rows that are due, and the preview matches the run."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.alerts import AlertRun, RunKind
from portal.models.assets import Asset
from portal.models.assignments import Assignment
from portal.models.planning import Maintenance
from portal.models.tasks import Task
from portal.services import tasks
from portal.services.actions import lifecycle
from portal.services.actions.planning.queries import MaintenanceList, list_maintenances
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs as alert_runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import BY_EVENT
from portal.services.assets import queries as asset_queries
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.outbox.publish import Audience
from tests.services.actions.plan_examples import put_in
from tests.services.alerts.due_things import (
    decided,
    fired,
    in_days,
    lent,
    with_maintenance,
    with_warranty,
    work,
)
from tests.support.factories import make_asset, make_webhook


def make_stock(quantity: int, least: int | None) -> int:
    return make_asset("Toner", kind="stock", quantity=quantity, min_quantity=least, unit="box")


def low_stock(quantity: int = 3, least: int | None = 5) -> int:
    """Make a consumable low without an alert, so that a scan finds it."""
    asset_id = make_stock(9, least)
    put_in(asset_id, "available", quantity=quantity)
    return asset_id


class Case(NamedTuple):
    """Factories for a due row and for rows that are not due, and the model of the row."""

    due: Callable[[], int]
    others: list[Callable[[], int]]
    row: type[Asset] | type[Maintenance] | type[Assignment]


def returned() -> int:
    asset_id = lent(3)
    with writing() as current:
        mine = update(Assignment).where(Assignment.asset_id == asset_id)
        current.execute(mine.values(ended_at=utcnow()))
    return asset_id


def for_good() -> int:
    asset_id = lent(3)
    with writing() as current:
        mine = update(Assignment).where(Assignment.asset_id == asset_id)
        current.execute(mine.values(due_at=None))
    return asset_id


def in_state(state: str) -> int:
    asset_id = with_maintenance(3)
    with writing() as current:
        mine = update(Maintenance).where(Maintenance.asset_id == asset_id)
        current.execute(mine.values(state=state))
    return asset_id


def told_of() -> int:
    asset_id = low_stock()
    put_in(asset_id, "available", low_stock_alerted_at=utcnow())
    return asset_id


CASES = {
    EventName.CHECKOUT_OVERDUE: Case(
        lambda: lent(3), [lambda: lent(-3), returned, for_good], Assignment
    ),
    EventName.MAINTENANCE_DUE: Case(
        lambda: with_maintenance(7),
        [lambda: with_maintenance(8), lambda: in_state("in_progress"), lambda: in_state("done")],
        Maintenance,
    ),
    EventName.LOW_STOCK: Case(
        low_stock, [lambda: low_stock(5), lambda: low_stock(0, None), told_of], Asset
    ),
    EventName.WARRANTY_EXPIRING: Case(
        lambda: with_warranty(30), [lambda: with_warranty(31), lambda: with_warranty(-1)], Asset
    ),
}


def delete(asset_id: int) -> None:
    put_in(asset_id, "available", deleted_at=utcnow())


def scanned(event: EventName, after: int = 0) -> list[int]:
    session().rollback()
    moment = alert_settings.moment(utcnow())
    return [thing for thing, _ in BY_EVENT[event].scan(session(), moment, after)]


@pytest.mark.both_databases
def test_a_scan_reads_only_due_rows_in_id_order(app: Flask) -> None:
    for event in CASES:
        case = CASES[event]
        for make in case.others:
            make()
        delete(case.due())
        expected = {case.due(), case.due()}
        ids = scanned(event)
        rows = [session().get_one(case.row, thing) for thing in ids]
        assert {row.id if isinstance(row, Asset) else row.asset_id for row in rows} == expected, (
            event
        )
        assert ids == sorted(ids), event
        assert scanned(event, after=ids[0]) == ids[1:], event
        assert scanned(event, after=ids[1]) == [], event


@pytest.mark.both_databases
def test_the_preview_counts_the_alerts_that_a_run_fires(app: Flask) -> None:
    for event in CASES:
        decided()
        case = CASES[event]
        for make in case.others:
            make()
        delete(case.due())
        expected = [case.due(), case.due()]
        before = len(fired())
        preview = alert_runs.preview(utcnow(), shown=1)
        assert preview.counts == {event: 2}, event
        assert [(alert.event, alert.asset_id) for alert in preview.first] == [
            (event, expected[0])
        ], event
        assert alert_runs.has_due(utcnow()), event
        assert alert_runs.run(RunKind.MANUAL) == {event: 2}, event
        assert fired()[before:] == [(event, asset_id) for asset_id in expected], event
        assert not alert_runs.has_due(utcnow()), event


def test_the_preview_stops_counting_at_its_limit(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_runs, "COUNT_LIMIT", 2)
    lent(3)
    assert not alert_runs.preview(utcnow()).is_capped
    with_maintenance(1)
    with_warranty(1)
    preview = alert_runs.preview(utcnow())
    assert preview.is_capped
    assert set(preview.counts) == {EventName.CHECKOUT_OVERDUE, EventName.MAINTENANCE_DUE}


def test_an_alert_that_ended_since_the_scan_is_not_fired(app: Flask) -> None:
    decided()
    gone, renewed, due = (with_warranty(days) for days in (1, 2, 3))
    alert_runs.request_run(SYSTEM)
    turn = tasks.claim()
    assert turn is not None
    task = session().scalars(select(Task)).one()
    while not task.cursor.get("todo"):
        assert tasks.advance(turn, alert_runs.KIND)
        session().rollback()
    assert (task.cursor["todo"], task.total) == ([gone, renewed, due], 3)
    delete(gone)
    put_in(renewed, "available", warranty_expires=None)
    while tasks.advance(turn, alert_runs.KIND):
        pass
    session().rollback()
    assert (task.counts, task.done) == ({"passed": 2, "fired": 1}, 3)
    assert fired() == [(EventName.WARRANTY_EXPIRING, due)]


def test_decide_skips_rows_that_are_no_longer_due(app: Flask) -> None:
    decided()
    asset_id = with_warranty(3)
    source = BY_EVENT[EventName.WARRANTY_EXPIRING]
    moment = alert_settings.moment(utcnow() + timedelta(days=4))
    asset = session().get_one(Asset, asset_id)
    assert source.decide(session(), moment, asset, asset_id) is None
    returned_id = returned()
    lent_row = session().query(Assignment).filter_by(asset_id=returned_id).one()
    late = BY_EVENT[EventName.CHECKOUT_OVERDUE]
    assert late.decide(session(), moment, lent_row.asset, lent_row.id) is None


LATE = EventName.CHECKOUT_OVERDUE


DUE = EventName.MAINTENANCE_DUE


LOW = EventName.LOW_STOCK


WARRANTY = EventName.WARRANTY_EXPIRING


def last_run() -> AlertRun:
    session().rollback()
    return session().scalars(select(AlertRun).order_by(AlertRun.id.desc()).limit(1)).one()


def begin(asset_id: int) -> None:
    with writing() as current:
        mine = update(Maintenance).where(Maintenance.asset_id == asset_id)
        current.execute(mine.values(state="in_progress"))


def test_a_run_records_the_audience_of_each_alert(app: Flask) -> None:
    decided()
    make_webhook(events=[LATE, DUE])
    make_webhook(events=[LATE])
    make_webhook(events=[LATE, DUE], conditions='[["status","is",["checked_out"]]]')
    make_webhook(events=[LATE], state="off", off_reason="person")
    make_webhook(events=[LATE, DUE], state="draft")
    make_webhook(events=[WARRANTY], kind="inbox")
    lent(3)
    lent(4)
    with_maintenance(2)
    with_warranty(5)
    alert_runs.run(RunKind.MANUAL)
    assert alert_runs.audiences(last_run()) == [
        (Audience(sent=3, held=1), {LATE: 2}),
        (Audience(sent=1, kept=1), {DUE: 1}),
        (Audience(inbox=1), {WARRANTY: 1}),
    ]


def test_a_run_that_only_marks_alerts_records_no_audience(app: Flask) -> None:
    decided()
    make_webhook(events=[LATE])
    lent(3)
    alert_runs.mark_as_sent(SYSTEM)
    work()
    assert (last_run().counts, last_run().audiences) == ({LATE: 1}, {})


def test_the_preview_names_the_same_audience_as_the_run(app: Flask) -> None:
    decided()
    make_webhook(events=[LATE])
    make_webhook(events=[LATE], state="off")
    lent(3)
    with_warranty(5)
    coming = alert_runs.preview(utcnow()).counts
    expected = alert_queries.audiences_of(coming)
    alert_runs.run(RunKind.MANUAL)
    assert (
        expected
        == alert_runs.audiences(last_run())
        == [
            (Audience(1, 1), {LATE: 1}),
            (Audience(), {WARRANTY: 1}),
        ]
    )
    other_way_round = dict(reversed(coming.items()))
    assert alert_queries.audiences_of(other_way_round) == expected


@pytest.mark.both_databases
def test_due_counts_match_the_lists_before_and_after_a_run(app: Flask) -> None:
    decided()
    lent(3)
    lent(-3)
    for days in (-2, 3, 9):
        with_maintenance(days)
    begin(with_maintenance(-5))
    make_asset("Toner", kind="stock", quantity=1, min_quantity=5)
    with_warranty(3)
    with_warranty(3, name="Drill")
    before = alert_queries.due_now(utcnow())
    assert before.due == {LATE: 1, DUE: 2, LOW: 1, WARRANTY: 2}
    assert before.coming == {LATE: 1, DUE: 2, WARRANTY: 2}  # the low stock alert fired at once
    assert before.total_coming == 5
    assert asset_queries.count(AssetFilter(shown=Shown.OVERDUE)) == before.due[LATE]
    assert asset_queries.count(AssetFilter(shown=Shown.LOW)) == before.due[LOW]
    assert len(list_maintenances(MaintenanceList.DUE).rows) == before.due[DUE]
    assert len(list_maintenances(MaintenanceList.OPEN).rows) == 4
    assert alert_runs.run(RunKind.MANUAL) == before.coming
    after = alert_queries.due_now(utcnow())
    assert (after.due, after.coming) == (before.due, {})


def test_due_counts_include_the_alerts_of_the_next_run(app: Flask) -> None:
    decided()
    with_maintenance(9)
    assert alert_queries.due_now(utcnow()).due[DUE] == 0
    assert alert_queries.due_now(in_days(2)).coming == {DUE: 1}
    assert alert_queries.due_now(in_days(2)).due[DUE] == 1


def test_a_deleted_consumable_is_not_counted_as_low(app: Flask) -> None:
    decided()
    toner, paper = (
        make_asset(name, kind="stock", quantity=1, min_quantity=5) for name in ("Toner", "Paper")
    )
    assert alert_queries.count_due(LOW, utcnow()) == 2
    lifecycle.delete_asset(SYSTEM, toner)
    assert alert_queries.count_due(LOW, utcnow()) == 1
    lifecycle.delete_asset(SYSTEM, paper)
    assert alert_queries.due_now(utcnow()).due[LOW] == 0


def test_warranties_of_lost_and_disposed_assets_are_not_counted(app: Flask) -> None:
    for status in ("lost", "liquidated"):
        put_in(with_warranty(3), status)
        assert alert_queries.count_due(WARRANTY, utcnow()) == 0, status
