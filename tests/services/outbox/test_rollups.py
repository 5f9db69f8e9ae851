"""Rollups count entries into Delivered and Failed once, and failed attempts. Tests do not count."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.deliveries import DeliveryStatus, Priority, Rollup
from portal.services.core.unit_of_work import session, writing
from portal.services.outbox import rollups
from portal.services.outbox.rollups import StatusChange
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases

NOW = datetime(2026, 3, 4, 9, 59, 59, 999_000, tzinfo=UTC)
DELIVERED, FAILED = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED


def add(*entries: StatusChange, now: datetime = NOW) -> None:
    with writing() as current:
        rollups.count(current.connection(), entries, now)


def attempts() -> list[tuple[int, int]]:
    """Return (late, failed attempts) by hour and webhook."""
    query = select(Rollup.late, Rollup.failed_attempts)
    rows = session().execute(query.order_by(Rollup.hour, Rollup.webhook_id))
    return [tuple(row) for row in rows]


def stored() -> list[tuple[datetime, int, int, int]]:
    query = select(Rollup.hour, Rollup.webhook_id, Rollup.delivered, Rollup.failed)
    rows = session().execute(query.order_by(Rollup.hour, Rollup.webhook_id))
    return [tuple(row) for row in rows]


def test_rollups_add_up_by_hour_and_webhook(app: Flask) -> None:
    one, two = make_webhook().id, make_webhook().id
    add(
        StatusChange(two, DELIVERED, 2),
        StatusChange(one, DELIVERED, 2),
        StatusChange(one, FAILED, 3),
    )
    add(StatusChange(one, DELIVERED, 1), StatusChange(one, DELIVERED, 2))
    add(StatusChange(one, FAILED, 2), now=NOW + timedelta(seconds=1))
    nine, ten = datetime(2026, 3, 4, 9, tzinfo=UTC), datetime(2026, 3, 4, 10, tzinfo=UTC)
    assert stored() == [(nine, one, 3, 1), (nine, two, 1, 0), (ten, one, 0, 1)]


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param((DELIVERED, Priority.TEST, None), id="a test"),
        pytest.param((DeliveryStatus.RETRYING, Priority.NORMAL, None), id="will be retried"),
        pytest.param(
            (DeliveryStatus.ON_HOLD, Priority.NORMAL, DeliveryStatus.RETRYING), id="on_hold"
        ),
        pytest.param((FAILED, Priority.NORMAL, FAILED), id="a person's retry failed as well"),
        pytest.param((DELIVERED, Priority.NORMAL, DELIVERED), id="sent again"),
    ],
)
def test_other_changes_of_status_are_not_counted(
    app: Flask, entry: tuple[DeliveryStatus, Priority, DeliveryStatus | None]
) -> None:
    status, priority, prior = entry
    add(StatusChange(make_webhook().id, status, priority, prior))
    assert stored() == []


def add_and_fail(webhook: int) -> None:
    with writing() as current:
        rollups.count(current.connection(), [StatusChange(webhook, FAILED, 2)], NOW)
        raise ZeroDivisionError


def test_a_rolled_back_transaction_counts_nothing(app: Flask) -> None:
    webhook = make_webhook().id
    with pytest.raises(ZeroDivisionError):
        add_and_fail(webhook)
    assert stored() == []


def test_each_failed_attempt_is_counted_in_any_status_of_its_delivery(app: Flask) -> None:
    one, two = make_webhook().id, make_webhook().id
    retrying = StatusChange(one, DeliveryStatus.RETRYING, 2, has_failed=True)
    add(retrying, retrying, StatusChange(two, DeliveryStatus.RETRYING, 2, has_failed=True))
    add(retrying, StatusChange(one, FAILED, 2, has_failed=True))
    add(StatusChange(one, FAILED, 1, FAILED, has_failed=True))  # a person's Retry
    assert attempts() == [(0, 5), (0, 1)]
    assert [row[2:] for row in stored()] == [(0, 1), (0, 0)]


def test_late_deliveries_are_counted_beside_all_deliveries(app: Flask) -> None:
    webhook = make_webhook().id
    late = StatusChange(webhook, DELIVERED, 2, is_late=True)
    add(late, StatusChange(webhook, DELIVERED, 2), late)
    add(StatusChange(webhook, DELIVERED, 1, DELIVERED, is_late=True))  # sent again
    assert [row[2:] for row in stored()] == [(3, 0)]
    assert attempts() == [(2, 0)]
