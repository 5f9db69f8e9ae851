"""Alerts: each fires once for its key, catches up after missed runs, and commits as a whole."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from jobs.periodic import look_for_alerts
from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_message
from portal.lib.clock import utcnow
from portal.models.alerts import AlertRun, RunKind, RunOutcome
from portal.models.assets import Action, Activity, Asset
from portal.models.deliveries import Delivery, Event
from portal.models.planning import Maintenance
from portal.models.tasks import Task
from portal.services import tasks
from portal.services.actions import assignments, bulk, lifecycle
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning.rules import WorkValues
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs as alert_runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import KINDS
from portal.services.alerts.runs import Place
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from tests.services.alerts.due_things import (
    a_run_is_missing,
    bodies,
    decided,
    fired,
    in_days,
    it_is_just_after_the_run,
    ledger,
    lent,
    with_maintenance,
    with_warranty,
    work,
)
from tests.support.database.rivals import at_once
from tests.support.factories import make_asset, make_location, make_staff, make_user, make_webhook

WARRANTY = "alert.warranty_expiring"


DUE = "alert.maintenance_due"


LATE = "alert.checkout_overdue"


LOW = "alert.low_stock"


def runs() -> list[AlertRun]:
    session().rollback()
    return list(session().scalars(select(AlertRun).order_by(AlertRun.id)))


def begin(kind: RunKind = RunKind.MANUAL) -> None:
    with writing() as current:
        run = alert_runs.enter(current, SYSTEM, kind)
        assert run is not None
        alert_runs.have_done(current, SYSTEM, run)


def test_each_alert_fires_once_and_a_missed_week_is_caught_up(app: Flask) -> None:
    decided()
    expected = [(LATE, lent(3)), (DUE, with_maintenance(9)), (WARRANTY, with_warranty(33))]
    with_warranty(-1)  # ended before the asset was entered
    assert alert_runs.run(RunKind.SCHEDULED) == {LATE: 1}
    # No run happened for a week, and the windows opened in that time.
    assert alert_runs.run(RunKind.SCHEDULED, in_days(7)) == {DUE: 1, WARRANTY: 1}
    assert alert_runs.run(RunKind.SCHEDULED, in_days(8)) == {}
    assert fired() == expected


def test_an_alert_event_matches_its_sample_and_is_in_the_timeline(app: Flask) -> None:
    decided()
    hook = make_webhook(events=[WARRANTY, DUE, LATE, LOW])
    lent(47.5)
    with_maintenance(-2)
    store = make_location("Store")
    make_asset("Toner", kind="stock", quantity=3, min_quantity=5, unit="box", location_id=store)
    asset_id = with_warranty(10, supplier="Datahaus")
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Maria"))
    alert_runs.run(RunKind.SCHEDULED)
    by_event = {body["event"]: body for body in bodies()}
    assert set(by_event) == {WARRANTY, DUE, LATE, LOW}
    for name, body in by_event.items():
        sample = sample_message(EventName(name))
        assert list(body) == list(sample)
        assert list(body["data"]) == list(sample["data"])
        assert list(body["asset"]) == list(sample["asset"])
        assert body["data"]["actor"] == sample["data"]["actor"]
        assert body["data"]["origin"] == "cron"
        assert body["data"]["status_from"] == body["data"]["status_to"] == body["asset"]["status"]
    data = {name: body["data"] for name, body in by_event.items()}
    assert (data[LATE]["days_overdue"], data[LATE]["reminder_no"]) == (1, 1)
    assert (data[DUE]["title"], data[DUE]["overdue"]) == ("Battery check", True)
    assert (data[LOW]["shortfall"], data[LOW]["last_move"]["balance_after"]) == (2, 3)
    assert data[LOW]["location"] == {"id": store, "name": "Store"}
    assert (data[WARRANTY]["supplier"], data[WARRANTY]["threshold_days"]) == ("Datahaus", 30)
    assert data[WARRANTY]["holder"] == by_event[WARRANTY]["asset"]["holder"]
    assert data[WARRANTY]["holder"]["name"] == "Maria"
    assert [each.id for each in ledger()] == sorted(each["alert_id"] for each in data.values())
    assert by_event[WARRANTY]["asset"]["version"] == 2  # an alert does not change the asset
    line = session().scalars(
        select(Activity).where(Activity.asset_id == asset_id).order_by(Activity.id.desc())
    )
    assert (latest := line.first()) is not None
    assert (latest.action, latest.actor_name, latest.origin) == (WARRANTY, "Asset register", "cron")
    by_alert = alert_queries.deliveries_of(ledger())
    assert {each.total for each in by_alert.values()} == {1}
    assert len(by_alert) == 4
    ids = set(session().scalars(select(Delivery.public_id).where(Delivery.webhook_id == hook.id)))
    assert {each.only for each in by_alert.values()} == ids


def new_date(asset_id: int) -> None:
    asset = lifecycle.find_asset(asset_id)
    ends = today() + timedelta(days=12)
    values = replace(lifecycle.values_of(asset), warranty_expires=ends)
    lifecycle.edit_asset(SYSTEM, asset_id, asset.version, values)


def keep_longer(asset_id: int) -> None:
    assignments.change_due_date(SYSTEM, asset_id, due_at=in_days(0.5))


def do_and_plan_the_next(asset_id: int) -> None:
    with writing() as current:
        work_ = current.scalars(select(Maintenance).where(Maintenance.asset_id == asset_id)).one()
        work_.repeat_every_days = 5
        public_id = work_.public_id
    planning_maintenance.complete(SYSTEM, public_id, WorkValues(completed_on=today(), outcome="ok"))


@pytest.mark.parametrize(
    ("make", "rearm"),
    [
        (lambda: with_warranty(10), new_date),
        (lambda: with_maintenance(3), do_and_plan_the_next),
        (lambda: lent(30), keep_longer),
    ],
)
def test_a_rearmed_alert_fires_again_and_the_old_one_ends(
    app: Flask, make: Callable[[], int], rearm: Callable[[int], None]
) -> None:
    decided()
    asset_id = make()
    alert_runs.run(RunKind.SCHEDULED)
    alert_runs.run(RunKind.SCHEDULED, in_days(1))
    assert len(fired()) == 1
    rearm(asset_id)
    (first,) = ledger()
    assert first.resolved_at is not None
    alert_runs.run(RunKind.SCHEDULED, in_days(1))
    alert_runs.run(RunKind.SCHEDULED, in_days(2))
    assert [alert.resolved_at is None for alert in ledger()] == [False, True]
    assert len(fired()) == 2


@pytest.mark.both_databases
def test_a_reminder_ends_earlier_alerts_and_a_check_in_ends_the_last(
    app: Flask,
) -> None:
    decided()
    asset_id = lent(3)
    settings = alert_settings.read()
    rules = replace(settings.rules, repeat_every_days=2)
    alert_settings.save(SYSTEM, settings.version, rules)
    for days in (0, 1, 3, 9):
        alert_runs.run(RunKind.SCHEDULED, in_days(days))
    assert [each["data"]["reminder_no"] for each in bodies()] == [1, 2, 5]
    assert [each.resolved_at is None for each in ledger()] == [False, False, True]
    assignments.check_in(SYSTEM, asset_id)
    assert all(each.resolved_at is not None for each in ledger())


@pytest.mark.parametrize(("failures", "is_left"), [(1, False), (2, True)])
def test_an_alert_that_keeps_failing_does_not_block_the_others(
    app: Flask, failures: int, is_left: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Count an interrupted turn as a failure. The third leaves the alert to the next run."""
    decided()
    broken, sound = with_warranty(1), with_warranty(2)
    begin()
    turn = tasks.claim()
    assert turn is not None
    for _ in range(len(KINDS) * 2):
        task = session().scalars(select(Task)).one()
        if task.cursor.get("todo"):
            break
        tasks.advance(turn, alert_runs.KIND)
    assert task.cursor["todo"] == [broken, sound]
    with writing() as current:
        current.execute(update(Task).values(failures=failures, lease_until=Task.created_at))
    work()
    assert fired() == [(WARRANTY, each) for each in ([sound] if is_left else [broken, sound])]
    session().rollback()
    counts = session().scalars(select(Task.counts)).one()
    assert counts == ({"fired": 1, "passed": 1} if is_left else {"fired": 2})
    errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert errors == [f"Left an alert ({WARRANTY}) for the next run."] * is_left
    assert alert_runs.run(RunKind.SCHEDULED) == ({WARRANTY: 1} if is_left else {})


def test_the_daily_run_starts_once_a_day_and_catches_up_once(app: Flask) -> None:
    decided()
    with_warranty(3)
    now = utcnow()
    it_is_just_after_the_run(now)
    look_for_alerts()
    work()
    assert not alert_runs.start_due(now)
    assert alert_runs.start_due(now + timedelta(days=7))
    assert not alert_runs.start_due(now + timedelta(days=7))
    work()
    assert [(run.kind, run.outcome) for run in runs()] == [("scheduled", "done")] * 2
    assert len(fired()) == 1


def test_concurrent_schedulers_start_one_run(app: Flask) -> None:
    decided()
    now = utcnow()
    assert sorted(at_once(app, [partial(alert_runs.start_due, now)] * 3)) == [False, False, True]
    assert len(runs()) == len(session().scalars(select(Task)).all()) == 1


def test_a_failed_run_is_repeated_an_hour_later(app: Flask) -> None:
    decided()
    now = utcnow()
    it_is_just_after_the_run(now)
    alert_runs.start_due(now)
    turn = tasks.claim()
    assert turn is not None
    tasks.give_up(turn, alert_runs.KIND)
    assert alert_queries.run_status(now + timedelta(minutes=20)).last.outcome == "failed"  # type: ignore[union-attr]  # just ended
    with writing() as current:  # it took two hours
        current.execute(update(AlertRun).values(started_at=now - timedelta(hours=2)))
    ended = runs()[-1].finished_at
    assert ended is not None
    hour = timedelta(hours=1)
    assert not alert_runs.start_due(ended + hour - timedelta(microseconds=1))
    assert alert_runs.start_due(ended + hour)
    work()
    assert [run.outcome for run in runs()] == ["failed", "done"]


@pytest.mark.both_databases
def test_the_ledger_outlives_its_events(app: Flask) -> None:
    decided()
    make_webhook(events=[WARRANTY])
    with_warranty(3)
    alert_runs.run(RunKind.SCHEDULED)
    with writing() as current:
        current.execute(delete(Delivery))
        current.execute(delete(Event))
    (line,) = ledger()
    assert (line.event_id, line.is_sent) == (None, True)
    assert alert_queries.deliveries_of([line]) == {}
    assert alert_runs.run(RunKind.SCHEDULED) == {}


def test_the_daily_run_waits_for_a_manual_run(app: Flask) -> None:
    decided()
    now = utcnow()
    alert_runs.request_run(SYSTEM)
    assert not alert_runs.start_due(now)
    work()
    assert alert_runs.start_due(now)
    assert [run.kind for run in runs()] == ["manual", "scheduled"]


def test_a_running_check_blocks_a_check_of_the_other_kind(app: Flask) -> None:
    decided()
    lent(3)
    running = alert_runs.request_run(SYSTEM)
    with pytest.raises(Refusal, match="A check is running"):
        alert_runs.mark_as_sent(SYSTEM)
    assert alert_runs.request_run(SYSTEM) == running
    work()
    marking = alert_runs.mark_as_sent(SYSTEM)
    with pytest.raises(Refusal, match="A check is running"):
        alert_runs.request_run(SYSTEM)
    assert alert_runs.mark_as_sent(SYSTEM) == marking


def test_other_tasks_are_not_mistaken_for_a_run(app: Flask) -> None:
    decided()
    bulk.start(make_user().actor, Action.DELETE, [make_asset()], {"reason": ""})
    now = utcnow()
    assert alert_queries.run_status(now).running is None
    assert alert_runs.start_due(now)


def test_a_run_with_nothing_due_needs_no_first_answer(app: Flask) -> None:
    make_asset()
    alert_runs.request_run(SYSTEM)
    work()
    assert [run.outcome for run in runs()] == ["done"]


def test_marking_alerts_as_sent_answers_the_first_question(app: Flask) -> None:
    with_warranty(1)
    alert_runs.mark_as_sent(SYSTEM)
    assert alert_settings.read().first_answer == "mark"


def renew(asset_id: int) -> None:
    with writing() as current:
        current.execute(update(Asset).where(Asset.id == asset_id).values(warranty_expires=None))


BEFORE_ITS_TURN: dict[str, tuple[Callable[[int], object], int]] = {
    "it is deleted": (lambda asset_id: lifecycle.delete_asset(SYSTEM, asset_id), 0),
    "it is due no more": (renew, 0),
    "another run tells of it": (lambda _: alert_runs.run(RunKind.MANUAL), 1),
}


@pytest.mark.both_databases
def test_an_alert_that_ended_before_its_turn_is_skipped(app: Flask) -> None:
    for happens, count in BEFORE_ITS_TURN.values():
        asset_id, now = with_warranty(5), utcnow()
        (source,) = (n for n, kind in enumerate(KINDS) if kind.event is EventName.WARRANTY_EXPIRING)
        with writing() as current:
            run = alert_runs.enter(current, SYSTEM, RunKind.MANUAL)
            assert run is not None
            place, _ = alert_runs.advance(current, run, Place(source), now)
        assert len(place.todo) == 1, happens
        happens(asset_id)
        with writing() as current:
            place, has_fired = alert_runs.advance(current, current.merge(run), place, now)
        assert (place.todo, has_fired, len(fired())) == ((), False, count), happens


def test_only_a_scheduled_run_that_ended_keeps_a_day_from_being_late(app: Flask) -> None:
    decided()
    make_asset()
    a_run_is_missing()
    now = utcnow()
    assert alert_queries.run_status(now).is_late
    alert_runs.run(RunKind.MANUAL)
    status = alert_queries.run_status(now)
    assert (status.is_late, status.last and status.last.kind) == (True, "manual")
    assert alert_runs.start_due(now)
    status = alert_queries.run_status(now)
    assert (status.is_late, status.last and status.last.kind) == (True, "manual")
    task = session().scalars(select(Task).order_by(Task.id.desc())).first()
    assert task is not None
    tasks.stop(SYSTEM, task.public_id, alert_runs.KIND)
    work()
    status = alert_queries.run_status(now)
    assert (status.is_late, status.last and status.last.outcome) == (False, "stopped")


def test_a_day_is_late_until_its_run_ends_without_failing(
    app: Flask,
) -> None:
    decided()
    make_asset()
    a_run_is_missing()
    now = utcnow()
    assert alert_runs.start_due(now)
    late = {}
    for outcome in (None, *RunOutcome):
        with writing() as current:
            current.execute(update(AlertRun).values(outcome=outcome))
        late[outcome] = alert_queries.run_status(now).is_late
    assert {outcome for outcome, is_late in late.items() if is_late} == {None, "failed"}
