"""Long work has one worker at a time, and whoever stops it comes between two of its steps."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask

from portal.lib.clock import common_now
from portal.models.tasks import Task, TaskState
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, writing
from portal.services.tasks import leases as task_leases
from portal.services.tasks import tasks
from tests.services.tasks.test_tasks import Counting, fresh, start
from tests.support.database.rivals import Rival


def meanwhile(rival: Rival, task: Task, change: Callable[[Task], None]) -> None:
    """Change the task's row while the rival comes to it."""
    with writing() as current:
        row = current.get_one(Task, task.id, with_for_update=True, populate_existing=True)
        change(row)
        row.lease_until = row.lease_until and database_time(current) + timedelta(minutes=1)
        current.flush()
        rival.come_to_a_lock()
    rival.finish()


def test_what_another_worker_takes_meanwhile_is_its(app: Flask) -> None:
    task = start()
    taken: list[task_leases.Turn | None] = []
    rival = Rival(app, lambda: taken.append(task_leases.claim()))

    def take(row: Task) -> None:
        row.state, row.lease_token, row.lease_until = TaskState.RUNNING, uuid4(), common_now()

    meanwhile(rival, task, take)
    assert taken == [None]


def test_one_that_is_stopped_meanwhile_does_no_further_step(app: Flask) -> None:
    task, counting = start(), Counting()
    turn = task_leases.claim()
    assert turn is not None
    more: list[bool] = []
    rival = Rival(app, lambda: more.append(task_leases.advance(turn, counting.kind)))

    def end(row: Task) -> None:
        row.state, row.lease_token, row.lease_until = TaskState.STOPPED, None, None

    meanwhile(rival, task, end)
    assert (more, counting.steps) == ([False], 0)
    assert fresh(task).state == TaskState.STOPPED


def test_one_that_ends_meanwhile_cannot_be_stopped(app: Flask) -> None:
    task, counting = start(), Counting()
    said: list[str] = []

    def stop() -> None:
        with pytest.raises(Refusal) as refused:
            tasks.stop(SYSTEM, task.public_id, counting.kind)
        said.append(refused.value.sentence)

    def end(row: Task) -> None:
        row.state = TaskState.DONE

    meanwhile(Rival(app, stop), task, end)
    assert said == ["This has ended already. There is nothing left to stop."]
    assert fresh(task).state == TaskState.DONE
