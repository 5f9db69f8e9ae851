"""A periodic task runs in one process for all, and once per interval."""

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.periodic import (
    back_up,
    expire_reservations,
    look_for_alerts,
    maintain,
    prune,
    send_notices,
    turn_on_webhooks,
)
from jobs.tasks import at_work, run_tasks
from portal.extensions import db
from portal.models.operations import Process
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from tests.support.database.periodic_tasks import begin_periodic_task

pytestmark = pytest.mark.both_databases

DUTIES = {
    "maintenance": maintain,
    "alerts": look_for_alerts,
    "notices": send_notices,
    "turn-on": turn_on_webhooks,
    "expire-reservations": expire_reservations,
    "prune": prune,
    "backup": back_up,
}


def age(name: str) -> float:
    """Return the seconds since the task last began."""
    db.session.rollback()
    seconds = heartbeats.age(name)
    assert seconds is not None
    return seconds


@pytest.mark.parametrize("name", DUTIES)
def test_a_task_runs_again_when_it_is_due(app: Flask, name: str) -> None:
    DUTIES[name]()
    assert age(name) < 20
    begin_periodic_task(name, 5000)
    DUTIES[name]()
    assert age(name) < 20


@pytest.mark.usefixtures("app")
def test_a_task_runs_early_only_in_the_second_half_of_its_minute() -> None:
    done = []
    for seconds in (24, 36):
        begin_periodic_task("alerts", seconds)
        look_for_alerts()
        done.append(age("alerts") < 20)
    assert done == [False, True]


@pytest.mark.usefixtures("app")
def test_a_task_taken_by_another_process_is_not_waited_for() -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("there everybody waits for everybody")
    begin_periodic_task("maintenance", 60)
    with db.engine.begin() as other:
        other.execute(select(Process).where(Process.name == "maintenance").with_for_update())
        with writing() as current:
            assert not heartbeats.take_periodic_task(current.connection(), "maintenance", 0)
    with writing() as current:
        assert heartbeats.take_periodic_task(current.connection(), "maintenance", 0)


def test_two_threads_of_a_process_do_not_work_at_once(app: Flask) -> None:
    def in_another_thread(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            with app.app_context():
                work()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    with at_work:
        threads = [in_another_thread(work) for work in (run_tasks, look_for_alerts)]
        for thread in threads:
            thread.join(0.2)
        assert all(thread.is_alive() for thread in threads)
        assert heartbeats.age("alerts") is None
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert age("alerts") < 20
