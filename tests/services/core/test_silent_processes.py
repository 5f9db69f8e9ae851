"""What a process holds that nobody has heard of for 15 seconds is due again, on whatever machine it
was; and whoever may have been deaf itself has no say in that."""

import os
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from portal.database.engine import database_now
from portal.extensions import db
from portal.models.deliveries import Lease
from portal.models.operations import Process
from portal.models.tasks import Task
from portal.queue.names import DELIVERIES
from portal.services import tasks
from portal.services import tasks as task_leases
from portal.services.core import heartbeats
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import maintenance
from tests.jobs.dispatcher.delivery_clock import attempts, claim, leases
from tests.support.factories import make_webhook, publish
from tests.support.heartbeats import record_own

pytestmark = pytest.mark.usefixtures("app")
WORKER = heartbeats.worker_of(DELIVERIES)
HOUR = 3600.0


def heard(run: UUID, *, ago: float = 0.0, steady: float = HOUR) -> None:
    """The last sign of this run, and for how long they had come without a break."""
    with writing() as current:
        now = database_now(current.connection())
        seen = now - timedelta(seconds=ago)
        process = Process(name=f"{WORKER} {run}", kind=WORKER, host="m2", pid=1, run=run)
        process.started_at = process.steady_since = seen - timedelta(seconds=steady)
        process.seen_at = seen
        current.merge(process)


def pass_by(seconds: float) -> None:
    """So much time, in which nobody signs."""
    with writing() as current:
        for row in current.query(Process):
            row.seen_at -= timedelta(seconds=seconds)
            if row.steady_since:
                row.steady_since -= timedelta(seconds=seconds)


def hold(run: UUID) -> None:
    """The run takes what is due."""
    with writing() as current:
        current.execute(update(Lease).values(run=run))


def free() -> int:
    """How many leases are over once this process has looked who is silent."""
    with writing() as current:
        maintenance.reclaim_silent(current.connection())
    now = database_now(db.session.connection())
    return sum(each.until <= now for each in leases())


def begin() -> UUID:
    """Something is under way; who has it."""
    make_webhook()
    publish()
    assert claim()
    other = uuid4()
    hold(other)
    return other


def test_what_a_silent_one_holds_is_due_again_and_stays_its_own_until_somebody_has_it() -> None:
    other = begin()
    (before,) = leases()
    heard(heartbeats.own_process())
    heard(other, ago=14)
    assert free() == 0
    heard(other, ago=16)
    assert free() == 1
    (after,) = leases()
    assert (after.token, after.run) == (before.token, other)


def test_one_that_has_no_heartbeat_has_ended_and_one_whose_name_is_not_known_runs_out() -> None:
    heard(heartbeats.own_process())
    begin()
    with writing() as current:
        current.execute(update(Lease).values(run=None))
    assert free() == 0
    hold(uuid4())
    assert free() == 1


def test_whoever_may_have_been_deaf_ends_nothing() -> None:
    begin()
    assert free() == 0  # it has never signed
    for ago, steady in ((0, 14), (8, HOUR), (16, HOUR)):
        heard(heartbeats.own_process(), ago=ago, steady=steady)
        assert free() == 0, (ago, steady)
    heard(heartbeats.own_process(), ago=7, steady=9)
    assert free() == 1


def test_two_with_the_same_host_and_number_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers: the one's signs are not the other's."""
    first = begin()
    second = heartbeats.own_process()
    for run in (first, second):
        monkeypatch.setitem(heartbeats._own, os.getpid(), run)
        record_own(WORKER)
    db.session.rollback()
    assert {each.run for each in db.session.query(Process)} == {first, second}
    heard(second)
    assert free() == 0
    pass_by(16)
    heard(second)
    assert free() == 1


def test_maintenance_ends_them_and_long_work_goes_on_elsewhere() -> None:
    begin()
    heard(heartbeats.own_process())
    with writing() as current:
        made = tasks.start(current, SYSTEM, "counting", total=1)
    assert task_leases.claim() is not None
    with writing() as current:
        current.execute(update(Task).where(Task.id == made.id).values(run=uuid4()))
    assert not task_leases.has_due()
    maintenance.maintain()
    assert task_leases.has_due()
    assert not maintenance.is_any_silent(db.session.connection())  # it has been freed
    assert [each.outcome for each in attempts()] == ["interrupted"]
