"""A periodic task is done by one process for all, whoever starts it, and once in its time."""

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
    """Seconds since it was begun."""
    db.session.rollback()
    found = heartbeats.age(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", DUTIES)
def test_it_is_done_again_when_its_time_has_come(app: Flask, name: str) -> None:
    DUTIES[name]()
    assert age(name) < 20
    begin_periodic_task(name, 5000)
    DUTIES[name]()
    assert age(name) < 20


@pytest.mark.usefixtures("app")
def test_what_comes_early_is_done_and_what_comes_in_the_first_half_of_its_minute_is_not() -> None:
    done = []
    for seconds in (24, 36):
        begin_periodic_task("alerts", seconds)
        look_for_alerts()
        done.append(age("alerts") < 20)
    assert done == [False, True]


@pytest.mark.usefixtures("app")
def test_nobody_waits_for_whoever_takes_it() -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("there everybody waits for everybody")
    begin_periodic_task("maintenance", 60)
    with db.engine.begin() as other:
        other.execute(select(Process).where(Process.name == "maintenance").with_for_update())
        with writing() as current:
            assert not heartbeats.take_periodic_task(current.connection(), "maintenance", 0)
    with writing() as current:
        assert heartbeats.take_periodic_task(current.connection(), "maintenance", 0)


def test_two_threads_of_a_process_do_not_work_together(app: Flask) -> None:
    def in_another_thread(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            with app.app_context():
                work()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    with at_work:
        threads = [in_another_thread(each) for each in (run_tasks, look_for_alerts)]
        for thread in threads:
            thread.join(0.2)
        assert all(thread.is_alive() for thread in threads)
        assert heartbeats.age("alerts") is None
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert age("alerts") < 20
