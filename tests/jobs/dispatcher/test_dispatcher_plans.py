"""The dispatcher's statements use indexes even without table statistics."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, update

from jobs.deliver import equip
from portal.engine.reasons import Reason
from portal.extensions import Base
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.dispatch import record_results
from tests.jobs.dispatcher.delivery_clock import ended
from tests.support.deliveries import make_many
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases

BIG = ("deliveries", "attempts", "attempt_bodies", "events")


@pytest.fixture
def a_day_of_messages(app: Flask) -> None:
    """Create thousands of finished deliveries and some waiting ones, without statistics."""
    make_many([make_webhook() for _ in range(3)], 3000, utcnow() - timedelta(days=1))
    with writing() as current:
        current.execute(update(Delivery).values(status="delivered", due_at=utcnow()))
        current.execute(update(Delivery).where(Delivery.id % 50 == 0).values(status="queued"))


def explain(cursor: Any, statement: str, values: Any) -> list[str]:
    """Return the lines of the statement's query plan."""
    other = cursor.connection.cursor()
    keyword = "EXPLAIN" if hasattr(cursor.connection, "pgconn") else "EXPLAIN QUERY PLAN"
    other.execute(f"{keyword} {statement}", values)
    return [str(row[-1]) for row in other.fetchall()]


def reads_all(line: str) -> bool:
    return any(f"Seq Scan on {name}" in line or line.endswith(f"SCAN {name}") for name in BIG)


def compares_each_with_each(line: str) -> bool:
    """Return whether the plan line joins two parts of one statement in a nested loop. PostgreSQL
    expects one row from each part."""
    sides = re.findall(r"(\w+?)(?:_\d+)?\.\w+", line.partition("Join Filter:")[2])
    return bool(sides) and all(side not in Base.metadata.tables for side in sides)


@pytest.mark.usefixtures("a_day_of_messages")
def test_no_statement_reads_a_whole_table() -> None:
    plans: dict[str, list[str]] = {}

    def note(
        _connection: Connection, cursor: Any, statement: str, values: Any, _c: Any, many: bool
    ) -> None:
        if statement.startswith(("SELECT", "WITH", "UPDATE", "INSERT")) and not many:
            plans[statement] = explain(cursor, statement, values)

    with equip().engine.connect() as connection:
        writer = connection.execution_options(writing=True)
        event.listen(writer, "before_cursor_execute", note)
        with writer.begin():
            claims = dispatch_claim.claim(writer, 30)
        ends = [ended(claim, Reason.SERVER if n % 3 else None) for n, claim in enumerate(claims)]
        with writer.begin():
            record_results.record(writer, ends, lambda: 0.0)
            dispatch_claim.claim(writer, 30)
            gone = update(Webhook).where(Webhook.id == claims[0].webhook.id)
            writer.execute(gone.values(deleted_at=utcnow()))
            assert dispatch_maintenance.maintain_on(writer) > 0
    assert len(claims) == 24
    assert len(plans) > 12
    for is_bad in (reads_all, compares_each_with_each):
        bad = {said: plan for said, plan in plans.items() if any(map(is_bad, plan))}
        assert not bad, "\n\n".join("\n".join([said, *plan]) for said, plan in bad.items())
    counted = [line for said, plan in plans.items() if "portions" in said for line in plan]
    # On PostgreSQL, a webhook's leases are counted once, not for each of its deliveries.
    is_postgres = equip().engine.dialect.name == "postgresql"
    assert any("CTE portions" in line for line in counted) is is_postgres
