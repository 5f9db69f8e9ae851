"""Chart data in spans of hours or days, for one webhook, each webhook, or all."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import insert

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority, Rollup
from portal.services.core import queries
from portal.services.core.unit_of_work import writing
from portal.services.deliveries.trends import trend, trends, undelivered
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def edges(count: int, length: timedelta) -> list[datetime]:
    return [NOON + number * length for number in range(count + 1)]


def fill(webhook_id: int, *counts: tuple[int, int, int]) -> None:
    """Store rollups of (hours after noon, delivered, failed attempts).

    In each hour, all deliveries but one are late.
    """
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


def test_hours_of_all_webhooks_are_summed(app: Flask) -> None:
    fill(make_webhook().id, (-1, 9, 9), (0, 5, 1), (2, 7, 0), (3, 9, 9))
    fill(make_webhook().id, (0, 2, 2))
    total = trend(edges(3, HOUR))
    assert [(span.delivered, span.failed_attempts) for span in total.spans] == [
        (7, 3),
        (0, 0),
        (7, 0),
    ]
    assert (total.delivered, total.late, total.failed_attempts) == (14, 11, 3)
    assert [span.late for span in total.spans] == [5, 0, 6]
    assert total.spans[0].begins == NOON
    assert total.spans[-1].ends == NOON + 3 * HOUR


def test_the_trend_of_one_webhook_excludes_the_others(app: Flask) -> None:
    one, two = make_webhook(), make_webhook()
    fill(one.id, (0, 5, 1))
    fill(two.id, (0, 2, 2))
    of_one = trend(edges(2, HOUR), one.public_id)
    assert [(span.delivered, span.failed_attempts) for span in of_one.spans] == [(5, 1), (0, 0)]


def test_trends_by_day_include_only_webhooks_with_deliveries(app: Flask) -> None:
    one, two, _three = make_webhook(), make_webhook(), make_webhook()
    fill(one.id, (0, 5, 1), (23, 1, 1), (24, 3, 0))
    fill(two.id, (1, 2, 0))
    by_webhook = trends(edges(2, timedelta(days=1)))
    counts = {
        webhook: [(span.delivered, span.failed_attempts) for span in of_one.spans]
        for webhook, of_one in by_webhook.items()
    }
    assert counts == {one.public_id: [(6, 2), (3, 0)], two.public_id: [(2, 0), (0, 0)]}


def test_undelivered_deliveries_count_once_in_the_span_of_their_event(app: Flask) -> None:
    one, two = make_webhook(), make_webhook()
    now = utcnow()
    edges_now = [now - timedelta(days=14), now - timedelta(days=7), now + HOUR]
    for days, status in ((20, "failed"), (8, "failed"), (8, "dismissed"), (1, "queued")):
        make_delivery(one, status=status, created_at=now - timedelta(days=days))
    for status in ("retrying", "on_hold", "failed"):
        make_delivery(two, status=status)
    # Neither tests nor resends in progress count, and the roll-ups have the delivered ones.
    make_delivery(one, status="failed", priority=Priority.TEST)
    make_delivery(one, status="queued", prior_status="delivered")
    make_delivery(one, status="delivered")
    counts = undelivered(edges_now, [one.public_id, two.public_id])
    assert {hook: list(many) for hook, many in counts.items()} == {
        one.public_id: [2, 1],
        two.public_id: [0, 3],
    }
    assert undelivered(edges_now, []) == {}
    before_retention = [now - timedelta(days=31), now]
    assert undelivered(before_retention, [one.public_id]) == {}, "some can have been removed"


def test_undelivered_deliveries_are_counted_up_to_a_limit(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "COUNT_LIMIT", 2)
    webhook, now = make_webhook(), utcnow()
    for _ in range(5):
        make_delivery(webhook, status="failed")
    counts = undelivered([now - HOUR, now + HOUR], [webhook.public_id])
    assert list(counts[webhook.public_id]) == [3]
