"""Stopping, continuing, and taking out deliveries work at once and are audited."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.people import User
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.queue import notifier
from portal.services import tasks
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_task
from portal.services.deliveries import bulk_retry, bulk_retry_report
from portal.services.deliveries.bulk_retry import take_out
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import sending
from tests.services.bulk_retry.test_bulk_retry import (
    FAILED,
    all_that,
    finish,
    forget,
    fresh,
    handed,
    some,
    work,
)
from tests.support.deliveries import lease, stored
from tests.support.factories import make_user, make_webhook
from tests.support.servers import ValkeyServer

pytestmark = pytest.mark.usefixtures("app")
FEW = 3


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("support", name="Ana").actor


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the number of failures in a row that pause a bulk retry."""
    monkeypatch.setattr(bulk_retry, "MOST_FAILURES", FEW)


@pytest.fixture
def redis(app: Flask, valkey_server: ValkeyServer) -> Redis:
    return valkey_server.client()


def paused(actor: Actor) -> tuple[UUID, list[UUID]]:
    """Start a bulk retry that a few failures in a row pause, with two deliveries left."""
    made = some(FEW + 2, make_webhook())
    batch = bulk_retry.start(actor, all_that(FAILED))
    work()
    for delivery in made[:FEW]:
        finish(delivery, "failed")
    work()
    assert fresh(batch).state == TaskState.PAUSED
    return batch, made


def messages(batch: UUID) -> list[tuple[str, str]]:
    return [(row.outcome, row.message) for row in bulk_retry_report.report_rows(fresh(batch))]


def told() -> list[tuple[str, str, Any]]:
    session().rollback()
    entries = session().scalars(select(AuditEntry).order_by(AuditEntry.id))
    return [(row.actor_name, row.action, row.changes) for row in entries]


def test_a_continued_bulk_retry_resumes_at_once_and_is_audited(ana: Actor, redis: Redis) -> None:
    batch, _ = paused(ana)
    with writing() as current:
        current.execute(update(Task).values(due_at=utcnow() + timedelta(hours=1)))
    redis.delete(notifier.TASKS_QUEUED)
    bulk_retry.go_on(make_user("support", name="Sam").actor, batch)
    assert redis.exists(notifier.TASKS_QUEUED)
    assert fresh(batch).due_at <= utcnow()
    assert told()[-1][:2] == ("Sam", "batch.went_on")


def test_a_stop_that_waits_for_an_attempt_in_progress_polls_at_once(
    ana: Actor, redis: Redis
) -> None:
    (made,) = some(1, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    lease(made)
    with writing() as current:
        current.execute(update(Task).values(due_at=utcnow() + timedelta(hours=1)))
    redis.delete(notifier.TASKS_QUEUED)
    bulk_retry.stop(ana, batch)
    assert redis.exists(notifier.TASKS_QUEUED)
    assert fresh(batch).due_at <= utcnow()
    assert fresh(batch).finished_at is None


@pytest.mark.both_databases
def test_taking_out_the_last_delivery_ends_a_bulk_retry_at_once(ana: Actor, redis: Redis) -> None:
    batch, made = paused(ana)
    redis.delete(notifier.TASKS_QUEUED)
    take_out(ana, made[FEW])
    assert not redis.exists(notifier.TASKS_QUEUED)
    take_out(ana, made[-1])
    assert redis.exists(notifier.TASKS_QUEUED)
    assert told()[-1][1:] == (
        "batch.delivery_taken_out",
        {"delivery": {"from": None, "to": str(made[-1])}},
    )
    work()
    assert fresh(batch).state == TaskState.DONE


def test_an_automatic_stop_is_in_the_portals_name_and_gives_back_once(ana: Actor) -> None:
    first, second = some(2, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    lease(first)
    with writing() as current:
        current.execute(update(User).values(is_active=False))
    work()
    task = fresh(batch)
    assert (task.state, task.stopped_by) == (TaskState.RUNNING, "The portal")
    assert stored(second)["status"] == "failed"
    finish(first, "delivered")
    work()
    assert fresh(batch).state == TaskState.STOPPED
    assert messages(batch) == [("delivered", ""), ("unsent", "")]


def test_a_stop_keeps_the_name_of_a_person_who_loses_the_permission(ana: Actor) -> None:
    (made,) = some(1, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    lease(made)
    bulk_retry.stop(ana, batch)
    with writing() as current:
        current.execute(update(User).values(is_active=False))
    work()
    finish(made, "delivered")
    work()
    assert (fresh(batch).state, fresh(batch).stopped_by) == (TaskState.STOPPED, "Ana")


def test_a_pruned_delivery_is_skipped_with_its_reason(ana: Actor) -> None:
    made = some(FEW + 1, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    forget(made[3])  # it waits
    forget(made[2])  # it was handed over
    for delivery in made[:2]:
        finish(delivery, "delivered")
    work()
    task = fresh(batch)
    assert (task.state, task.counts) == (TaskState.DONE, {"delivered": 2, "skipped": 2})
    assert messages(batch)[2:] == [("skipped", "No longer kept")] * 2


def test_a_delivery_to_a_webhook_deleted_meanwhile_is_skipped(ana: Actor) -> None:
    hook = make_webhook(name="Sync")
    (made,) = some(1, hook)
    batch = bulk_retry.start(ana, all_that(FAILED))
    with writing() as current:
        current.execute(update(Webhook).values(deleted_at=utcnow()))
    work()
    ((outcome, message),) = messages(batch)
    assert (outcome, "“Sync” was deleted" in message) == ("skipped", True)
    assert handed([made]) == []


def test_starting_and_continuing_are_refused_while_sending_is_stopped(ana: Actor) -> None:
    batch, made = paused(ana)
    sending.stop(make_user("admin").actor)
    for verb in (
        lambda: bulk_retry.start(ana, Selection(ticked=tuple(made[:1]))),
        lambda: bulk_retry.go_on(ana, batch),
    ):
        with pytest.raises(Refusal, match="is paused"):
            verb()
    assert fresh(batch).state == TaskState.PAUSED


def test_tasks_of_another_kind_are_neither_continued_nor_stopped(ana: Actor) -> None:
    with writing() as current:
        asked = tasks.start(current, ana, import_task.CHECK_NAME, total=1)
        asked.state = TaskState.PAUSED
        check = asked.public_id
    for verb in (bulk_retry.go_on, bulk_retry.stop):
        with pytest.raises(NotFound):
            verb(ana, check)
    session().rollback()
    left = tasks.find(check)
    assert (left.state, left.cursor, told()) == (TaskState.PAUSED, {}, [])


def test_failures_are_counted_in_the_order_in_which_they_ended(ana: Actor) -> None:
    made = some(FEW, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    finish(made[2], "delivered")  # ended before the others, but has a higher id
    for delivery in made[:2]:
        finish(delivery, "failed")
    work()
    cursor = fresh(batch).cursor["failures"]
    assert list(cursor.values()) == [2]


@pytest.mark.both_databases
def test_continuing_changes_the_sender_whose_missing_name_is_the_starters(ana: Actor) -> None:
    batch, _ = paused(ana)
    sam = make_user("support", name="Sam")
    assert bulk_retry.sender(fresh(batch)) == (ana.user_id, "Ana")
    bulk_retry.go_on(sam.actor, batch)
    assert bulk_retry.sender(fresh(batch)) == (sam.id, "Sam")
    with writing() as current:
        task = current.scalars(select(Task)).one()
        task.cursor = {**task.cursor, bulk_retry.SENDER: 999_999}
    assert bulk_retry.sender(fresh(batch)) == (999_999, "Ana")
