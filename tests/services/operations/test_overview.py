"""The counts of the start page, overdue deliveries, and erasures that are stuck."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.models.audit import Erasure
from portal.models.tasks import Task, TaskState
from portal.services.core.erasures import label_of, stuck_erasures
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.operations.health import read_backlog
from portal.services.operations.overview import overview
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]

MINUTE = timedelta(minutes=1)


def test_deleted_rows_and_drafts_are_not_counted() -> None:
    make_webhook()
    make_webhook(state="off")
    for state in ("active", "off"):
        make_webhook(state=state, deleted_at=utcnow())
    make_webhook(state="draft")
    make_asset()
    gone = make_asset()
    with writing() as current:
        current.get_one(Asset, gone).deleted_at = utcnow()
    now = overview()
    assert (now.webhooks_on, now.assets) == (1, 1)


def test_a_test_of_a_draft_is_not_a_delivery() -> None:
    draft = make_webhook(state="draft")
    make_delivery(draft)
    assert not overview().has_deliveries
    make_delivery()
    assert overview().has_deliveries


def test_an_ordered_delivery_is_due_from_the_end_of_the_one_before() -> None:
    hook, now = make_webhook(in_order=True), database_time(session())
    for minutes in (9, 2, 5):  # the latest end is not that of the delivery just before it
        make_delivery(hook, status="delivered", finished_at=now - minutes * MINUTE)
    make_delivery(hook, due_at=now - 60 * MINUTE)
    assert read_backlog().oldest_due_at == now - 5 * MINUTE


def erasure(person: int, task: UUID | None = None, **columns: Any) -> str:
    with writing() as current:
        made = Erasure(kind="user", person_id=person, task_public_id=task, **columns)
        current.add(made)
        current.flush()
        return label_of(made)


def task(state: TaskState) -> UUID:
    with writing() as current:
        by = {"actor_kind": "system", "actor_name": "", "origin": "ui"}
        made = Task(kind="erasure", state=state, due_at=utcnow(), **by)
        current.add(made)
        current.flush()
        return made.public_id


def test_an_unfinished_erasure_whose_task_has_ended_is_stuck() -> None:
    ended = [task(each) for each in (TaskState.DONE, TaskState.STOPPED, TaskState.FAILED)]
    stuck = [erasure(number, each) for number, each in enumerate([*ended, uuid4(), None])]
    for number, state in enumerate((TaskState.WAITING, TaskState.RUNNING, TaskState.PAUSED), 10):
        erasure(number, task(state))
    erasure(20, ended[0], finished_at=utcnow())
    assert [label_of(each) for each in stuck_erasures(session())] == stuck
