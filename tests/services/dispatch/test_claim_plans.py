"""The cost of a claim grows with the number of webhooks that are due, not with the backlog."""

from collections import Counter
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Select, select, text
from sqlalchemy.dialects import sqlite

from portal.services.core.unit_of_work import session
from portal.services.outbox import claimable


def plan_of(statement: Select[Any]) -> list[str]:
    """Return SQLite's plan on a database without rows or statistics."""
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))
    values = dict.fromkeys(compiled.params)
    rows = session().execute(text(f"EXPLAIN QUERY PLAN {compiled}"), values)
    return [row.detail for row in rows]


@pytest.fixture(autouse=True)
def on_sqlite(app: Flask) -> None:
    """Skip PostgreSQL, whose plans depend on its statistics. Both run the same statements."""
    if session().connection().dialect.name != "sqlite":
        pytest.skip("the plans of SQLite alone are the same every time")


def test_the_poll_for_due_webhooks_walks_the_index_of_open_rows() -> None:
    plan = plan_of(claimable._due_webhooks("sqlite", may_be_lost=False))
    reads = [step for step in plan if " deliveries" in step and "PRIMARY KEY" not in step]
    assert reads
    assert all("ix_deliveries_order" in step or "ix_deliveries_due" in step for step in reads)


def test_the_head_of_a_queue_is_the_first_entry_of_its_index() -> None:
    plan = plan_of(select(claimable.head_of(1)))
    assert any("ix_deliveries_order (webhook_id=?)" in step for step in plan)
    assert not any("TEMP B-TREE" in step for step in plan)


def test_chat_webhooks_add_no_reads_to_the_poll() -> None:
    by_key = "USING INTEGER PRIMARY KEY (rowid=?)"
    due = "ix_deliveries_due (webhook_id=? AND priority=? AND due_at<?)"
    plan = plan_of(claimable._due_webhooks("sqlite", may_be_lost=False))
    assert Counter(step for step in plan if step.startswith(("SCAN", "SEARCH"))) == {
        "SEARCH deliveries USING INDEX ix_deliveries_order": 1,
        "SEARCH deliveries USING INDEX ix_deliveries_order (webhook_id>?)": 1,
        "SCAN scan": 2,
        "SCAN leases USING INDEX ix_leases_webhook_id": 1,
        "SEARCH leased USING AUTOMATIC COVERING INDEX (webhook_id=?) LEFT-JOIN": 1,
        f"SEARCH sending_switch {by_key}": 1,
        f"SEARCH webhooks {by_key}": 1,
        f"SEARCH deliveries USING INDEX {due}": 4,
        f"SEARCH leases {by_key}": 5,
        f"SEARCH deliveries {by_key}": 1,
        "SEARCH deliveries_1 USING INDEX ix_deliveries_order (webhook_id=?)": 1,
    }
