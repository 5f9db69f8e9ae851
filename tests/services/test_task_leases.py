"""The time that a worker stays with one task, and with all of them."""

from datetime import datetime, timedelta
from itertools import count

import pytest
from flask import Flask
from sqlalchemy import update

from jobs import tasks as job
from portal.database.engine import database_now
from portal.extensions import db, settings
from portal.models.tasks import Task
from portal.services import tasks as task_leases
from portal.services.core.unit_of_work import writing
from tests.services.test_tasks import Counting, be_due, fresh, start

pytestmark = pytest.mark.both_databases


def test_a_turn_ends_when_the_time_of_the_worker_is_over(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, task, counting = count(), start(60), Counting()
    monkeypatch.setattr(job, "monotonic", lambda: float(next(seconds)))
    counting.work(seconds=3.0)
    assert (counting.steps, fresh(task).lease_token) == (1, None)


def test_the_task_that_is_due_for_longest_is_claimed_first(app: Flask) -> None:
    started = [start(1) for _ in range(3)]
    first = started[1]
    with writing() as current:
        long_ago = first.due_at - timedelta(hours=1)
        current.execute(update(Task).where(Task.id == first.id).values(due_at=long_ago))
    lease = task_leases.claim()
    assert lease is not None
    assert lease.task_id == first.id


def test_each_step_extends_the_lease_to_its_full_length(app: Flask) -> None:
    def now() -> datetime:
        db.session.rollback()
        return database_now(db.session.connection())

    task, counting, before = start(60), Counting(), now()
    lease = task_leases.claim()
    assert lease is not None
    for is_first in (True, False):
        if not is_first:
            be_due(lease_until=Task.created_at)
            before = now()
            assert task_leases.advance(lease, counting.kind)
        kept_until = fresh(task).lease_until
        assert kept_until is not None
        margin = timedelta(seconds=settings().lease_margin)
        assert before + margin <= kept_until <= now() + margin


def test_has_due_can_ignore_tasks_that_are_not_due_for_long(app: Flask) -> None:
    start()
    minute = timedelta(minutes=1)
    be_due(due_at=database_now(db.session.connection()) - minute)
    assert not task_leases.has_due(since=2 * minute)
    assert task_leases.has_due(since=minute / 2)
