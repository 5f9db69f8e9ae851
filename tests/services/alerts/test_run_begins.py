"""When a run begins, which one it is that another finds at work, and when the day lacks its own."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.alerts import AlertRun, RunKind, RunOutcome
from portal.models.assets import Action, Asset
from portal.models.tasks import Task
from portal.services import tasks
from portal.services.actions import bulk, lifecycle
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs as alert_runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import KINDS
from portal.services.alerts.runs import Place
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from tests.services.alerts.due_things import (
    a_run_is_missing,
    decided,
    fired,
    lent,
    with_warranty,
    work,
)
from tests.services.alerts.test_alerts import runs
from tests.support.factories import make_asset, make_user


def test_the_daily_run_waits_for_one_that_a_person_has_begun(app: Flask) -> None:
    decided()
    now = utcnow()
    alert_runs.request_run(SYSTEM)
    assert not alert_runs.start_due(now)
    work()
    assert alert_runs.start_due(now)
    assert [run.kind for run in runs()] == ["manual", "scheduled"]


def test_a_check_that_is_at_work_is_not_taken_for_one_of_the_other_kind(app: Flask) -> None:
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


def test_other_long_work_is_not_taken_for_a_run(app: Flask) -> None:
    decided()
    bulk.start(make_user().actor, Action.DELETE, [make_asset()], {"reason": ""})
    now = utcnow()
    assert alert_queries.run_status(now).running is None
    assert alert_runs.start_due(now)


def test_where_nothing_is_due_nobody_has_to_decide_before_a_run(app: Flask) -> None:
    make_asset()
    alert_runs.request_run(SYSTEM)
    work()
    assert [run.outcome for run in runs()] == ["done"]


def test_marking_what_is_due_decides_the_first_question(app: Flask) -> None:
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
def test_what_is_over_before_its_turn_comes_is_passed_by(app: Flask) -> None:
    for happens, told in BEFORE_ITS_TURN.values():
        asset_id, now = with_warranty(5), utcnow()
        (source,) = (n for n, each in enumerate(KINDS) if each.event is EventName.WARRANTY_EXPIRING)
        with writing() as current:
            run = alert_runs.enter(current, SYSTEM, RunKind.MANUAL)
            assert run is not None
            place, _ = alert_runs.advance(current, run, Place(source), now)
        assert len(place.todo) == 1, happens
        happens(asset_id)
        with writing() as current:
            place, has_fired = alert_runs.advance(current, current.merge(run), place, now)
        assert (place.todo, has_fired, len(fired())) == ((), False, told), happens


def test_only_a_run_of_its_own_keeps_a_day_from_being_late(app: Flask) -> None:
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


def test_a_day_is_late_until_its_run_has_ended_and_not_failed(
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
