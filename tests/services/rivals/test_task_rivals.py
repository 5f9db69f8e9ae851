"""A task has one worker at a time, and a stop takes effect between two steps."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from portal.lib.clock import common_now
from portal.models.tasks import Task, TaskState
from portal.services import tasks
from portal.services import tasks as task_leases
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import database_time, writing
from tests.services.test_tasks import Counting, fresh, start
from tests.support.database.rivals import Rival, answer_of

pytestmark = pytest.mark.both_databases


def changed_meanwhile(
    app: Flask, task: Task, verb: Callable[[], Any], change: Callable[[Task], None]
) -> Any:
    """Change the task's row while `verb` waits or passes by, and return its result or refusal."""
    rival = Rival(app, partial(answer_of, verb))
    with writing() as current:
        row = current.get_one(Task, task.id, with_for_update=True, populate_existing=True)
        change(row)
        row.lease_until = row.lease_until and database_time(current) + timedelta(minutes=1)
        current.flush()
        rival.come_to_a_lock()
    return rival.finish()


def test_a_task_claimed_concurrently_belongs_to_the_other_worker(app: Flask) -> None:
    def take(row: Task) -> None:
        row.state, row.lease_token, row.lease_until = TaskState.RUNNING, uuid4(), common_now()

    assert changed_meanwhile(app, start(), task_leases.claim, take) is None


def test_a_concurrently_stopped_task_takes_no_further_step(app: Flask) -> None:
    task, counting = start(), Counting()
    turn = task_leases.claim()
    assert turn is not None

    def end(row: Task) -> None:
        row.state, row.lease_token, row.lease_until = TaskState.STOPPED, None, None

    advance = partial(task_leases.advance, turn, counting.kind)
    assert changed_meanwhile(app, task, advance, end) is False
    assert counting.steps == 0
    assert fresh(task).state == TaskState.STOPPED


def test_a_concurrently_ended_task_cannot_be_stopped(app: Flask) -> None:
    task, counting = start(), Counting()

    def end(row: Task) -> None:
        row.state = TaskState.DONE

    stop = partial(tasks.stop, SYSTEM, task.public_id, counting.kind)
    refusal = changed_meanwhile(app, task, stop, end)
    assert refusal.sentence == "This work has already ended."
    assert fresh(task).state == TaskState.DONE
