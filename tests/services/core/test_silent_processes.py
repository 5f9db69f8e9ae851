"""Leases of a process that is silent for 15 seconds are due again, on any machine.

A process whose own heartbeats had a gap does not reclaim leases.
"""

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
    """Store the last heartbeat of this run, after `steady` seconds without a gap."""
    with writing() as current:
        now = database_now(current.connection())
        seen = now - timedelta(seconds=ago)
        process = Process(name=f"{WORKER} {run}", kind=WORKER, host="m2", pid=1, run=run)
        process.started_at = process.steady_since = seen - timedelta(seconds=steady)
        process.seen_at = seen
        current.merge(process)


def pass_by(seconds: float) -> None:
    """Let this many seconds pass without heartbeats."""
    with writing() as current:
        for row in current.query(Process):
            row.seen_at -= timedelta(seconds=seconds)
            if row.steady_since:
                row.steady_since -= timedelta(seconds=seconds)


def hold(run: UUID) -> None:
    """Give all leases to this run."""
    with writing() as current:
        current.execute(update(Lease).values(run=run))


def free() -> int:
    """Reclaim the leases of silent processes, and count the leases that are over."""
    with writing() as current:
        maintenance.reclaim_silent(current.connection())
    now = database_now(db.session.connection())
    return sum(lease.until <= now for lease in leases())


def begin() -> UUID:
    """Claim a delivery, and return the run that holds its lease."""
    make_webhook()
    publish()
    assert claim()
    other = uuid4()
    hold(other)
    return other


def test_the_lease_of_a_silent_run_ends_but_keeps_its_run_until_claimed() -> None:
    other = begin()
    (before,) = leases()
    heard(heartbeats.own_process())
    heard(other, ago=14)
    assert free() == 0
    heard(other, ago=16)
    assert free() == 1
    (after,) = leases()
    assert (after.token, after.run) == (before.token, other)


def test_a_lease_ends_without_a_heartbeat_but_not_without_a_run() -> None:
    heard(heartbeats.own_process())
    begin()
    with writing() as current:
        current.execute(update(Lease).values(run=None))
    assert free() == 0
    hold(uuid4())
    assert free() == 1


def test_a_process_with_a_gap_in_its_heartbeats_reclaims_nothing() -> None:
    begin()
    assert free() == 0  # it has never sent a heartbeat
    for ago, steady in ((0, 14), (8, HOUR), (16, HOUR)):
        heard(heartbeats.own_process(), ago=ago, steady=steady)
        assert free() == 0, (ago, steady)
    heard(heartbeats.own_process(), ago=7, steady=9)
    assert free() == 1


def test_two_processes_with_the_same_host_and_pid_are_distinct(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cover containers, where two processes can share both."""
    first = begin()
    second = heartbeats.own_process()
    for run in (first, second):
        monkeypatch.setitem(heartbeats._own, os.getpid(), run)
        record_own(WORKER)
    db.session.rollback()
    assert {process.run for process in db.session.query(Process)} == {first, second}
    heard(second)
    assert free() == 0
    pass_by(16)
    heard(second)
    assert free() == 1


def test_maintenance_reclaims_deliveries_and_tasks_of_silent_runs() -> None:
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
    assert not maintenance.is_any_silent(db.session.connection())  # already reclaimed
    assert [attempt.outcome for attempt in attempts()] == ["interrupted"]
