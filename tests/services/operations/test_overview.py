"""What the start page counts, who is behind, and which erasures nobody works at any more."""

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


def test_what_is_deleted_is_counted_no_more_and_what_was_never_saved_not_yet() -> None:
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


def test_a_test_before_saving_is_no_delivery_yet() -> None:
    draft = make_webhook(state="draft")
    make_delivery(draft)
    assert not overview().has_deliveries
    make_delivery()
    assert overview().has_deliveries


def test_in_order_its_turn_came_when_the_last_one_before_it_ended() -> None:
    hook, now = make_webhook(in_order=True), database_time(session())
    for minutes in (9, 2, 5):  # the one that ended last was not the last one before it
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


def test_an_erasure_is_stuck_while_it_is_not_finished_and_its_work_has_ended() -> None:
    ended = [task(each) for each in (TaskState.DONE, TaskState.STOPPED, TaskState.FAILED)]
    stuck = [erasure(number, each) for number, each in enumerate([*ended, uuid4(), None])]
    for number, state in enumerate((TaskState.WAITING, TaskState.RUNNING, TaskState.PAUSED), 10):
        erasure(number, task(state))
    erasure(20, ended[0], finished_at=utcnow())
    assert [label_of(each) for each in stuck_erasures(session())] == stuck
