"""The list of webhooks, the listeners of an event, waiting retries, and the health of a webhook."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.engine.circuit_breaker import ENOUGH_FAILURES, End
from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, Priority
from portal.models.webhooks import Webhook
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.webhooks import health, queries
from portal.services.webhooks.held_deliveries import reopen, resume
from portal.services.webhooks.queries import WebhookOrder, count_listeners, list_webhooks
from portal.services.webhooks.rules import url_problem
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.notifications import notifications

pytestmark = pytest.mark.usefixtures("app")
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def row(hook: Hook) -> Webhook:
    session().rollback()
    return session().get_one(Webhook, hook.id)


def failing(**columns: Any) -> Hook:
    return make_webhook(**{"failures_in_row": 2, "failing_since": utcnow() - HOUR, **columns})


def test_the_oldest_held_and_the_oldest_open_delivery_are_shown() -> None:
    now = utcnow()
    hook = make_webhook(state="off")
    for hours, status in (
        (9, "delivered"),
        (7, "on_hold"),
        (6, "on_hold"),
        (5, "retrying"),
        (4, "queued"),
    ):
        make_delivery(hook, status=status, created_at=now - hours * HOUR)
    make_delivery(make_webhook(), created_at=now - 20 * HOUR)
    shown = queries.show(hook.public_id)
    assert (shown.held, shown.oldest_held_at) == (2, now - 7 * HOUR)
    assert shown.oldest_open is not None
    assert shown.oldest_open.created_at == now - 5 * HOUR
    assert queries.count_open(hook.public_id) == 4


def test_the_list_begins_with_webhooks_in_trouble_and_ends_with_manual_off() -> None:
    off: dict[str, Any] = {"state": "off", "off_at": utcnow()}
    make_webhook(name="Off by Ana", off_reason="person", **off)
    make_webhook(name="Well")
    for name in ("Fails", "Left alone"):
        make_delivery(failing(name=name, throttled=name == "Left alone"), status="failed")
    for name, reason in (("Gone", "gone"), ("Hopeless", "failing"), ("No key", "lost_key")):
        make_webhook(name=name, off_reason=reason, **off)
    worst_first = ["Gone", "Hopeless", "No key", "Fails", "Left alone", "Well", "Off by Ana"]
    rows = list_webhooks().rows
    assert [row.name for row in rows] == worst_first
    needs = [row.name for row in rows if row.backlog]
    assert needs == worst_first[:5]
    by_name = [row.name for row in list_webhooks(order=WebhookOrder.NAME, reverse=True).rows]
    assert by_name == sorted(worst_first, key=str.lower, reverse=True)
    assert queries.count_on_and_off() == (3, 4)


def test_sorted_by_last_delivery_webhooks_without_one_come_last() -> None:
    hooks = {name: make_webhook(name=name) for name in ("A", "B", "C")}
    for name in ("C", "A"):
        make_delivery(hooks[name])
    make_delivery(hooks["B"], priority=Priority.TEST)
    assert [row.name for row in list_webhooks(order=WebhookOrder.LAST).rows] == ["A", "C", "B"]


def test_listeners_are_counted_once_by_on_off_and_conditional() -> None:
    both = (EventName.CREATED, EventName.UPDATED)
    make_webhook(events=both)
    make_webhook(events=both[:1])
    make_webhook(events=both, state="off")
    make_webhook(events=both, state="draft")
    make_webhook(events=both, deleted_at=utcnow())
    make_webhook(events=(EventName.DELETED,))
    assert count_listeners(*both) == (2, 1, 0)
    assert count_listeners(EventName.UPDATED) == (1, 1, 0)
    lost = '[["status","is",["lost"]]]'
    make_webhook(events=(EventName.UPDATED,), conditions=lost)
    make_webhook(events=(EventName.UPDATED,), conditions=lost, state="draft")
    assert count_listeners(EventName.UPDATED) == (2, 1, 1)


def waiting(hook: Hook, **columns: Any) -> Any:
    later = {"status": "retrying", "tries": 1, "due_at": utcnow() + HOUR}
    return make_delivery(hook, **{**later, **columns})


def test_only_retries_scheduled_more_than_a_minute_ahead_are_waiting() -> None:
    hook = make_webhook()
    for priority in (Priority.NORMAL, Priority.BULK, Priority.INTERACTIVE):
        waiting(hook, priority=priority)
    waiting(hook, due_at=utcnow() + timedelta(seconds=30))
    waiting(hook, status="queued")
    lease(waiting(hook))
    waiting(make_webhook())
    assert queries.show(hook.public_id).waits == 3
    for columns in (
        {"reopened_at": utcnow()},
        {"failures_in_row": 1, "failing_since": utcnow()},
        {"state": "off"},
    ):
        other = make_webhook(**columns)
        waiting(other)
        assert queries.show(other.public_id).waits == 0


def test_resuming_sends_waiting_retries_once_and_is_audited() -> None:
    ben, hook = make_user("support", name="Ben").actor, make_webhook()
    for _ in range(2):
        waiting(hook)
    notified = notifications()
    assert resume(ben, hook.public_id).total == 2
    assert notifications() > notified
    assert row(hook).reopened_at is not None
    assert resume(ben, hook.public_id).total == 0
    (entry,) = session().scalars(select(AuditEntry)).all()
    assert (entry.action, entry.actor_name) == ("webhook.waiting_sent", "Ben")
    assert entry.changes == {"deliveries": {"from": None, "to": 2}}
    with pytest.raises(Refusal, match="is off"):
        resume(ben, make_webhook(state="off").public_id)


def test_resuming_an_ordered_webhook_makes_only_its_head_due() -> None:
    ben, hook = make_user("support").actor, make_webhook(in_order=True)
    head, other = waiting(hook), waiting(hook)
    resume(ben, hook.public_id)
    assert row(hook).reopened_at is None
    due = {delivery.public_id: delivery.due_at for delivery in _deliveries()}
    assert due[head] <= utcnow()
    assert due[other] > utcnow() + MINUTE


def test_a_head_that_is_already_due_keeps_its_time() -> None:
    hook, due_at = make_webhook(in_order=True), utcnow() - HOUR
    waiting(hook, due_at=due_at)
    with writing() as current:
        reopen(current.connection(), hook.id, True, database_time(current))
    assert [delivery.due_at for delivery in _deliveries()] == [due_at]


def _deliveries() -> list[Any]:
    session().rollback()
    return list(session().scalars(select(Delivery)))


def ended(hook: Hook, *ends: End, at: datetime | None = None) -> None:
    """Record ends of attempts, now or at the given time."""
    with writing() as current:
        connection = current.connection()
        now, rows = health.lock_webhooks(connection, [hook.id])
        assert now is not None
        health.write_health(connection, rows, {hook.id: ends}, at or now)


def arrived_at(hook: Hook) -> datetime | None:
    return row(hook).last_delivered_at


def test_a_delivered_test_does_not_count_as_the_last_delivery() -> None:
    hook = failing()
    ended(hook, End(AttemptKind.TEST, None))
    assert (arrived_at(hook), row(hook).failing_since) == (None, None)
    ended(hook, End(AttemptKind.SCHEDULED, Reason.SERVER))
    assert arrived_at(hook) is None
    ended(hook, End(AttemptKind.SCHEDULED, Reason.SERVER), End(AttemptKind.MANUAL, None))
    assert arrived_at(hook) is not None


@pytest.mark.parametrize("is_one_batch", [False, True])
def test_a_success_after_a_failure_is_recorded_at_once(is_one_batch: bool) -> None:
    now = utcnow()
    hook, soon = make_webhook(last_delivered_at=now), now + timedelta(milliseconds=400)
    failed, well = End(AttemptKind.SCHEDULED, Reason.SERVER), End(AttemptKind.SCHEDULED, None)
    batches = [(failed, well)] if is_one_batch else [(failed,), (well,)]
    for ends in batches:
        ended(hook, *ends, at=soon)
    assert (arrived_at(hook), row(hook).failing_since) == (soon, None)


def test_an_attempt_begun_before_a_pause_does_not_shorten_it() -> None:
    now = utcnow()
    until = now + HOUR
    hook = failing(throttled=True, backoff_seconds=20, backoff_until=until)
    later = End(AttemptKind.SCHEDULED, Reason.UNAVAILABLE, retry_after=7300)
    sooner = later._replace(retry_after=60)
    for end, backoff_until in ((sooner, until), (later, now + timedelta(seconds=7300))):
        ended(hook, end, at=now)
        assert (row(hook).backoff_seconds, row(hook).backoff_until) == (20, backoff_until)


def test_a_webhook_failing_for_days_is_turned_off_by_one_more_failure() -> None:
    long_ago = utcnow() - timedelta(days=30)
    hook = make_webhook(failing_since=long_ago, failures_in_row=ENOUGH_FAILURES)
    ended(hook, End(AttemptKind.TEST, Reason.SERVER))
    assert row(hook).state == "active"
    ended(hook, End(AttemptKind.SCHEDULED, Reason.SERVER))
    assert (row(hook).state, row(hook).off_reason) == ("off", "failing")
    (entry,) = session().scalars(select(AuditEntry)).all()
    assert entry.changes["status"] == {"from": "Active", "to": "Off"}
    assert entry.changes["cause"]["to"].startswith("No delivery succeeded for ")


@pytest.mark.parametrize(
    "host", ["localhost", "portal.localhost", "localhost.", "10.0.0.1", "0x0a000001", "10.1"]
)
def test_a_private_address_is_refused_in_any_notation(app: Flask, host: str) -> None:
    problem = url_problem(f"http://{host}:9/hook")
    assert problem is not None
    assert problem.startswith("Enter a public URL or ask an administrator")
