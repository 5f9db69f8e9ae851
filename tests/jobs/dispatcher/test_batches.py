"""Bulk retry with a real dispatcher and a real receiver sends each delivery once, after new
events."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.engine.retry_policy import JITTER, SCHEDULE
from portal.models.deliveries import Priority
from portal.models.people import Role
from portal.models.tasks import Task, TaskState
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.jobs.dispatcher.delivery_clock import ask_for_retry, attempts, only_delivery
from tests.services.bulk_retry.test_bulk_retry import fresh, some, work
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_user, make_webhook
from tests.support.receiver import Receiver

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]
FAILED = LogFilter(status=StatusFilter.FAILED)


def start() -> UUID:
    ana = make_user(Role.SUPPORT, name="Ana").actor
    return bulk_retry.start(ana, Selection(wanted=FAILED, newest=bulk_retry_selection.newest_now()))


def finish_all(batch: UUID, rounds: int = 12) -> Task:
    for _ in range(rounds):
        work()
        if fresh(batch).state != TaskState.RUNNING:
            break
        deliver_due()
    return fresh(batch)


def test_a_bulk_retry_delivers_each_once_in_small_steps(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 5)
    made = some(12, make_webhook(receiver.url))
    task = finish_all(start())
    assert (task.state, task.counts) == (TaskState.DONE, {"delivered": 12})
    assert len(receiver.received) == 12
    assert {stored(public_id)["status"] for public_id in made} == {"delivered"}


def test_a_bulk_retry_to_a_broken_receiver_pauses_and_changes_nothing(receiver: Receiver) -> None:
    made = some(30, make_webhook(receiver.url))
    receiver.answer(status=500)
    task = finish_all(start())
    assert task.state == TaskState.PAUSED
    assert {stored(public_id)["status"] for public_id in made} == {"failed"}
    assert {stored(public_id)["prior_status"] for public_id in made} == {None}
    assert session().execute(select(Task.done)).scalar_one() >= 10


@pytest.mark.parametrize("priority", [Priority.INTERACTIVE, Priority.BULK])
def test_a_due_automatic_attempt_waits_again_after_a_failed_retry(
    receiver: Receiver, priority: Priority
) -> None:
    receiver.answer(status=500)
    make_delivery(make_webhook(receiver.url), status="retrying", tries=3)
    ask_for_retry(only_delivery().id, priority=priority)
    deliver_due()
    assert len(receiver.received) == 1
    (attempt,), delivery = attempts(), only_delivery()
    assert (delivery.status, delivery.tries, delivery.attempts) == ("retrying", 3, 1)
    assert attempt.finished_at is not None
    usual = timedelta(seconds=SCHEDULE[3] * (1 - JITTER))
    assert delivery.due_at >= attempt.finished_at + usual
