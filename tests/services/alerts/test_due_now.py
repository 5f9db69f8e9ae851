"""What is due, counted in one place; and who heard of what a run sent."""

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.alerts import AlertRun, RunKind
from portal.models.planning import Maintenance
from portal.services.actions import lifecycle
from portal.services.actions.planning.queries import MaintenanceList, list_maintenances
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs as alert_runs
from portal.services.assets import queries as asset_queries
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.outbox.publish import Audience
from tests.services.actions.plan_examples import put_in
from tests.services.alerts.due_things import (
    decided,
    in_days,
    lent,
    with_maintenance,
    with_warranty,
    work,
)
from tests.support.factories import make_asset, make_webhook

pytestmark = pytest.mark.both_databases

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
    make_webhook(events=[LATE], state="off", off_reason="person")
    make_webhook(events=[LATE, DUE], state="draft")
    lent(3)
    lent(4)
    with_maintenance(2)
    with_warranty(5)
    alert_runs.run(RunKind.MANUAL)
    assert alert_runs.audiences(last_run()) == [
        (Audience(sent=2, held=1), {LATE: 2}),
        (Audience(sent=1), {DUE: 1}),
        (Audience(), {WARRANTY: 1}),
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
