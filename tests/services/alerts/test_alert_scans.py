"""What a look for alerts reads: what may be due, and nothing else; the preview tells the same."""

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
    """It became low while nobody looked: the latch has not fallen."""
    asset_id = make_stock(9, least)
    put_in(asset_id, "available", quantity=quantity)
    return asset_id


class Case(NamedTuple):
    """How to make one that is due, some that are not, and the row of one that is."""

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
def test_only_what_may_be_due_is_read_in_the_order_of_its_ids(app: Flask) -> None:
    for event in CASES:
        case = CASES[event]
        for make in case.others:
            make()
        delete(case.due())
        expected = {case.due(), case.due()}
        found = scanned(event)
        rows = [session().get_one(case.row, thing) for thing in found]
        assert {row.id if isinstance(row, Asset) else row.asset_id for row in rows} == expected, (
            event
        )
        assert found == sorted(found), event
        assert scanned(event, after=found[0]) == found[1:], event
        assert scanned(event, after=found[1]) == [], event


@pytest.mark.both_databases
def test_the_preview_counts_what_a_run_then_tells(app: Flask) -> None:
    for event in CASES:
        decided()
        case = CASES[event]
        for make in case.others:
            make()
        delete(case.due())
        expected = [case.due(), case.due()]
        before = len(fired())
        found = alert_runs.preview(utcnow(), shown=1)
        assert found.counts == {event: 2}, event
        assert [(each.event, each.asset_id) for each in found.first] == [(event, expected[0])], (
            event
        )
        assert alert_runs.has_due(utcnow()), event
        assert alert_runs.run(RunKind.MANUAL) == {event: 2}, event
        assert fired()[before:] == [(event, asset_id) for asset_id in expected], event
        assert not alert_runs.has_due(utcnow()), event


def test_it_stops_counting_where_nobody_would_read_on(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_runs, "COUNT_LIMIT", 2)
    lent(3)
    assert not alert_runs.preview(utcnow()).is_capped
    with_maintenance(1)
    with_warranty(1)
    found = alert_runs.preview(utcnow())
    assert found.is_capped
    assert set(found.counts) == {EventName.CHECKOUT_OVERDUE, EventName.MAINTENANCE_DUE}


def test_what_has_passed_since_it_was_looked_for_is_told_of_no_more(app: Flask) -> None:
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


def test_an_asset_that_went_between_two_looks_is_told_of_no_more(app: Flask) -> None:
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


def test_a_run_knows_who_heard_of_what_it_sent(app: Flask) -> None:
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


def test_what_was_only_marked_was_heard_by_nobody_and_says_nothing(app: Flask) -> None:
    decided()
    make_webhook(events=[LATE])
    lent(3)
    alert_runs.mark_as_sent(SYSTEM)
    work()
    assert (last_run().counts, last_run().audiences) == ({LATE: 1}, {})


def test_before_it_is_sent_the_same_is_said_of_who_would_hear(app: Flask) -> None:
    decided()
    make_webhook(events=[LATE])
    make_webhook(events=[LATE], state="off")
    lent(3)
    with_warranty(5)
    coming = alert_runs.preview(utcnow()).counts
    said = alert_queries.audiences_of(coming)
    alert_runs.run(RunKind.MANUAL)
    assert (
        said
        == alert_runs.audiences(last_run())
        == [
            (Audience(1, 1), {LATE: 1}),
            (Audience(), {WARRANTY: 1}),
        ]
    )
    other_way_round = dict(reversed(coming.items()))
    assert alert_queries.audiences_of(other_way_round) == said


@pytest.mark.both_databases
def test_what_is_due_is_what_the_lists_show_told_of_or_not(app: Flask) -> None:
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
    assert before.coming == {LATE: 1, DUE: 2, WARRANTY: 2}  # low stock was told of at once
    assert before.total_coming == 5
    assert asset_queries.count(AssetFilter(shown=Shown.OVERDUE)) == before.due[LATE]
    assert asset_queries.count(AssetFilter(shown=Shown.LOW)) == before.due[LOW]
    assert len(list_maintenances(MaintenanceList.DUE).rows) == before.due[DUE]
    assert len(list_maintenances(MaintenanceList.OPEN).rows) == 4
    assert alert_runs.run(RunKind.MANUAL) == before.coming
    after = alert_queries.due_now(utcnow())
    assert (after.due, after.coming) == (before.due, {})


def test_what_the_next_run_adds_is_among_what_is_due_then(app: Flask) -> None:
    decided()
    with_maintenance(9)
    assert alert_queries.due_now(utcnow()).due[DUE] == 0
    assert alert_queries.due_now(in_days(2)).coming == {DUE: 1}
    assert alert_queries.due_now(in_days(2)).due[DUE] == 1


def test_a_consumable_that_was_deleted_is_not_among_the_low_ones(app: Flask) -> None:
    decided()
    toner, paper = (
        make_asset(name, kind="stock", quantity=1, min_quantity=5) for name in ("Toner", "Paper")
    )
    assert alert_queries.count_due(LOW, utcnow()) == 2
    lifecycle.delete_asset(SYSTEM, toner)
    assert alert_queries.count_due(LOW, utcnow()) == 1
    lifecycle.delete_asset(SYSTEM, paper)
    assert alert_queries.due_now(utcnow()).due[LOW] == 0


def test_the_warranty_of_what_is_gone_is_not_counted(app: Flask) -> None:
    for status in ("lost", "liquidated"):
        put_in(with_warranty(3), status)
        assert alert_queries.count_due(WARRANTY, utcnow()) == 0, status
