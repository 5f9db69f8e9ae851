"""Checks of the demo's deliveries: every status occurs, and rows are as the engine leaves them."""

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, case, func, select

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptBody,
    BatchRow,
    Delivery,
    DeliveryStatus,
    Event,
    Lease,
    Priority,
    Rollup,
    RowOutcome,
)
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import OffReason, Verdict, Webhook
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry_report
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.operations import retention
from portal.services.outbox.claimable import WaitsFor
from portal.services.webhooks import inbox as webhook_inbox
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import WebhookStatus
from tests.support.deliveries import lease


def check_deliveries() -> None:
    """Check a month of deliveries, which must look as if the engine had sent them."""
    hold_the_lease()
    every_status_is_there()
    attempts_fit_their_deliveries()
    times_are_in_order()
    charts_count_what_the_log_has()
    webhooks_stand_in_every_way()
    a_bulk_retry_is_interrupted_and_one_is_done()
    there_are_messages_in_the_inbox()
    assert set(retention.count().values()) == {0}


def hold_the_lease() -> None:
    """Extend the lease of the delivery being sent, because leases are short in tests."""
    query = select(Delivery.public_id).join(Lease, Lease.delivery_id == Delivery.id)
    lease(session().scalars(query).one(), 600)


def every_status_is_there() -> None:
    for status in StatusFilter:
        assert log_pages.latest(LogFilter(status=status), 1), status
    still_open = log_pages.latest(LogFilter(status=StatusFilter.OPEN), 500)
    assert {WaitsFor.RECEIVER, WaitsFor.ORDER} <= {delivery.waits_for for delivery in still_open}
    assert any(delivery.is_being_sent for delivery in still_open)


def attempts_fit_their_deliveries() -> None:
    current, known = session(), defaultdict[int, list[Attempt]](list)
    for attempt in current.scalars(select(Attempt).order_by(Attempt.delivery_id, Attempt.number)):
        known[attempt.delivery_id].append(attempt)
    bodies = set(current.scalars(select(AttemptBody.attempt_id)))
    for row in current.scalars(select(Delivery)):
        mine = known.pop(row.id, [])
        assert [attempt.number for attempt in mine] == list(range(1, row.attempts + 1))
        assert row.tries == sum(attempt.kind == "scheduled" for attempt in mine)
        assert row.tries <= len(settings().webhook_retry_schedule)
        assert all(attempt.id in bodies for attempt in mine)
        if mine:
            assert (row.reason, row.code) == (mine[-1].reason, mine[-1].code)
            arrived = any(attempt.outcome == "delivered" for attempt in mine)
            assert arrived is (row.status == DeliveryStatus.DELIVERED)
        is_over = row.status in retention.FINAL
        assert (row.finished_at is not None) is is_over
        may_have = (*OPEN, DeliveryStatus.DISMISSED)
        assert row.prior_status is None or row.status in may_have
    assert known == {}
    (under_way,) = current.scalars(select(Lease))
    assert (under_way.kind, under_way.number) == ("scheduled", 1)
    assert under_way.run is None  # else workers would take the end of `seed-demo` for a crash


def times_are_in_order() -> None:
    current, now = session(), utcnow()
    stored = current.scalars(select(Delivery.created_at).order_by(Delivery.id)).all()
    assert stored == sorted(stored)
    assert now - timedelta(days=settings().retention_days) < stored[0]
    assert stored[-1] <= now
    trail = current.scalars(select(AuditEntry.at).order_by(AuditEntry.id)).all()
    assert trail == sorted(trail)
    happened = current.scalars(select(Event.occurred_at).order_by(Event.id)).all()
    assert happened == sorted(happened)
    rows = select(Attempt, Delivery.created_at).join(Delivery, Delivery.id == Attempt.delivery_id)
    for attempt, created_at in current.execute(rows):
        assert created_at <= attempt.started_at <= now
        assert attempt.finished_at is None or attempt.started_at < attempt.finished_at <= now


def charts_count_what_the_log_has() -> None:
    current = session()
    no_test = Delivery.priority != Priority.TEST
    # A delivery that was dismissed after it failed counts as failed.
    had_failed = Delivery.prior_status == DeliveryStatus.FAILED
    is_taken = and_(Delivery.status == DeliveryStatus.DISMISSED, had_failed)
    status = case((is_taken, DeliveryStatus.FAILED), else_=Delivery.status)
    ends = select(Delivery.webhook_id, status, func.count()).where(no_test)
    rows = current.execute(ends.group_by(Delivery.webhook_id, status))
    counts = Counter({(row[0], row[1]): row[2] for row in rows})
    sums = select(Rollup.webhook_id, func.sum(Rollup.delivered), func.sum(Rollup.failed))
    rolled = {row[0]: row[1:] for row in current.execute(sums.group_by(Rollup.webhook_id))}
    for webhook_id in current.scalars(select(Webhook.id)):
        delivered, failed = rolled.get(webhook_id, (0, 0))
        assert delivered == counts[webhook_id, DeliveryStatus.DELIVERED]
        assert failed == counts[webhook_id, DeliveryStatus.FAILED] + _failed_before(webhook_id)
    assert len({row.hour.date() for row in current.scalars(select(Rollup))}) > 15


def _failed_before(webhook_id: int) -> int:
    """Count the deliveries that failed for good and arrived after a manual retry."""
    all_of = len(settings().webhook_retry_schedule)
    query = select(func.count()).where(
        Delivery.webhook_id == webhook_id,
        Delivery.status == DeliveryStatus.DELIVERED,
        Delivery.tries == all_of,
        Delivery.attempts > all_of,
    )
    return session().execute(query).scalar_one()


def webhooks_stand_in_every_way() -> None:
    listed = webhook_queries.list_webhooks().rows
    assert {webhook.status for webhook in listed} == set(WebhookStatus)
    reasons = set(session().scalars(select(Webhook.off_reason)))
    assert {OffReason.PERSON, OffReason.GONE} <= reasons


def a_bulk_retry_is_interrupted_and_one_is_done() -> None:
    current = session()
    tasks: dict[str, Any] = {
        task.state: task for task in current.scalars(select(Task).filter_by(kind="bulk_retry"))
    }
    assert set(tasks) == {TaskState.DONE, TaskState.PAUSED}
    halted = tasks[TaskState.PAUSED]
    (where,) = bulk_retry_report.troubles(halted)
    assert where.is_halted
    outcomes = select(BatchRow.outcome, func.count()).where(BatchRow.task_id == halted.id)
    counted = {row[0]: row[1] for row in current.execute(outcomes.group_by(BatchRow.outcome))}
    assert counted[RowOutcome.FAILED] == 10
    assert counted[RowOutcome.WAITING] > 0
    assert tasks[TaskState.DONE].counts["delivered"] > 0


def there_are_messages_in_the_inbox() -> None:
    inbox = webhook_inbox.find_inbox()
    assert inbox is not None
    kept = webhook_inbox.messages(inbox.public_id)
    assert len(kept) > 10
    assert {(message.legacy, message.standard) for message in kept} == {
        (Verdict.GOOD, Verdict.GOOD)
    }
