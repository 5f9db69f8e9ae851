"""What the charts read: spans of hours or days, of one webhook, of each, or of all."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import insert

from portal.models.deliveries import Rollup
from portal.services.core.unit_of_work import writing
from portal.services.deliveries.trends import trend, trends
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def edges(count: int, length: timedelta) -> list[datetime]:
    return [NOON + each * length for each in range(count + 1)]


def fill(webhook_id: int, *counts: tuple[int, int, int]) -> None:
    """(hours after noon, delivered, failed attempts); one less than those delivered was late."""
    rows = [
        {
            "hour": NOON + hours * HOUR,
            "webhook_id": webhook_id,
            "delivered": good,
            "late": max(0, good - 1),
            "failed": 99,
            "failed_attempts": bad,
        }
        for hours, good, bad in counts
    ]
    with writing() as current:
        current.execute(insert(Rollup), rows)


def test_hours_of_all_webhooks_are_added(app: Flask) -> None:
    fill(make_webhook().id, (-1, 9, 9), (0, 5, 1), (2, 7, 0), (3, 9, 9))
    fill(make_webhook().id, (0, 2, 2))
    found = trend(edges(3, HOUR))
    assert [(span.delivered, span.failed_attempts) for span in found.spans] == [
        (7, 3),
        (0, 0),
        (7, 0),
    ]
    assert (found.delivered, found.late, found.failed_attempts) == (14, 11, 3)
    assert [span.late for span in found.spans] == [5, 0, 6]
    assert found.spans[0].begins == NOON
    assert found.spans[-1].ends == NOON + 3 * HOUR


def test_one_webhook_alone(app: Flask) -> None:
    one, two = make_webhook(), make_webhook()
    fill(one.id, (0, 5, 1))
    fill(two.id, (0, 2, 2))
    found = trend(edges(2, HOUR), one.public_id)
    assert [(span.delivered, span.failed_attempts) for span in found.spans] == [(5, 1), (0, 0)]


def test_each_webhook_that_had_any_by_day(app: Flask) -> None:
    one, two, _three = make_webhook(), make_webhook(), make_webhook()
    fill(one.id, (0, 5, 1), (23, 1, 1), (24, 3, 0))
    fill(two.id, (1, 2, 0))
    found = trends(edges(2, timedelta(days=1)))
    counts = {
        webhook: [(span.delivered, span.failed_attempts) for span in each.spans]
        for webhook, each in found.items()
    }
    assert counts == {one.public_id: [(6, 2), (3, 0)], two.public_id: [(2, 0), (0, 0)]}
