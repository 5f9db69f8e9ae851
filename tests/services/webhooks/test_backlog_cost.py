"""The number of database pages that a webhook's page reads does not grow with its backlog."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import insert, text

from bench.support import database_pages
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Event
from portal.services.core import queries as core_queries
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import StatusFilter
from portal.services.webhooks import queries as webhook_queries
from tests.support.factories import Hook, make_webhook

pytestmark = pytest.mark.both_databases

FEW, MANY = 100, 600
UNDER_WAY = (StatusFilter.QUEUED, StatusFilter.RETRYING, StatusFilter.ON_HOLD)
LATER = datetime(2999, 1, 1, tzinfo=UTC)
STANDINGS = {
    "well": {},
    "paused": {"throttled": True, "backoff_until": LATER},
    "in order": {"in_order": True},
    "in order and paused": {"in_order": True, "throttled": True, "backoff_until": LATER},
}


def test_a_long_backlog_costs_no_more_than_a_short_one(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_queries, "COUNT_LIMIT", 50)
    monkeypatch.setattr(database_pages, "STEPS", 10)
    made = [
        (name, status, *(backlog(make_webhook(**columns), status, many) for many in (FEW, MANY)))
        for name, columns in STANDINGS.items()
        for status in ("queued", "retrying")
    ]
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    session().rollback()
    for name, status, few, many in made:
        cost = [database_pages.touched(partial(read, each)) for each in (few, many)]
        assert cost[1] <= 1.6 * cost[0] + 20, (name, status, cost)
        assert log_pages.count(StatusFilter.ON_HOLD, many) == 0
        under_way = [log_pages.count(each, many) for each in UNDER_WAY]
        assert max(under_way) == 51, (name, status, under_way)


def backlog(hook: Hook, status: str, many: int) -> UUID:
    """Store deliveries that are due now or will be retried in two hours."""
    now = utcnow()
    due_at = now if status == "queued" else now + timedelta(hours=2)
    event = {"event": "asset.created", "occurred_at": now, "body": b"{}", "asset_id": 7}
    row = {"event": "asset.created", "asset_id": 7, "webhook_id": hook.id, "status": status}
    with writing() as current:
        ids = current.execute(insert(Event).returning(Event.id), [event] * many).scalars().all()
        rows = [{**row, "event_id": each, "due_at": due_at} for each in ids]
        current.execute(insert(Delivery), rows)
    return hook.public_id


def read(public_id: UUID) -> None:
    """Run the queries of the page."""
    webhook_queries.show(public_id)
    for status in UNDER_WAY:
        log_pages.count(status, public_id)
