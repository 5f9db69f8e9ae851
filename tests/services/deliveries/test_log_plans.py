"""Each page of the log scans the index that was made for it, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Select, event, func, select
from sqlalchemy.orm import Session

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.lib.paging import Cursor
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import log_query
from portal.services.deliveries.log_query import page_statement, scan_for
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter
from portal.services.deliveries.trends import undelivered_statement
from portal.services.webhooks import backlog
from portal.services.webhooks.queries import youngest
from tests.support.database.kept_filling import told_once
from tests.support.deliveries import make_attempt, make_delivery, make_many
from tests.support.factories import Hook, make_webhook

pytestmark = pytest.mark.both_databases

ROWS = 4000
PRIMARY = {"sqlite": "INTEGER PRIMARY KEY", "postgresql": "pk_deliveries"}
PLACES = {"first": None, "older": Cursor((ROWS // 2,)), "newer": Cursor((ROWS // 2,), newer=True)}


@pytest.fixture
def hook(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """Return one of four webhooks with thousands of deliveries, known to the planner."""
    # As small for this table as the real limit is for a real one.
    monkeypatch.setattr(log_query, "MOST_READ", 200)
    return told_once(_fill)


def _fill() -> Hook:
    hooks = [make_webhook() for _ in range(4)]
    make_many(hooks, ROWS, utcnow() - timedelta(seconds=ROWS))
    return hooks[1]


TABLES = {"deliveries", "leases", "attempts", "attempt_bodies", "events"}
# Each stored status behind a shown one is a branch of its own.
BRANCHES = {"attention": 4, "open": 2}


def filters(hook: Hook) -> dict[str, tuple[LogFilter, str]]:
    now, webhook, failed = utcnow(), hook.public_id, StatusFilter.FAILED
    hour = now - timedelta(minutes=10)
    return {
        "all": (LogFilter(), "primary"),
        "webhook": (LogFilter(webhook=webhook), "ix_deliveries_webhook_id_id"),
        "status": (LogFilter(status=failed), "ix_deliveries_status_id"),
        "queued": (LogFilter(status=StatusFilter.RETRYING), "ix_deliveries_status_id"),
        "attention": (LogFilter(status=StatusFilter.ATTENTION), "ix_deliveries_status_id"),
        "open": (LogFilter(status=StatusFilter.OPEN), "ix_deliveries_status_id"),
        "event": (LogFilter(event=EventName.UPDATED), "ix_deliveries_by_event"),
        "reason": (LogFilter(reasons=(Reason.SERVER,)), "ix_deliveries_reason_id"),
        "reasons": (LogFilter(reasons=(Reason.SERVER, Reason.DNS)), "ix_deliveries_reason_id"),
        "code": (LogFilter(codes=(500, 500)), "ix_deliveries_code_id"),
        "codes": (LogFilter(codes=(500, 599)), "ix_deliveries_code_id"),
        "webhook and reasons": (
            LogFilter(webhook=webhook, reasons=(Reason.SERVER, Reason.DNS)),
            "ix_deliveries_webhook_id_id",
        ),
        "asset": (LogFilter(asset_id=77), "ix_deliveries_asset_id_id"),
        "time": (LogFilter(since=hour, until=now), "primary"),
        "webhook and status": (
            LogFilter(webhook=webhook, status=failed),
            "ix_deliveries_webhook_id_status_id",
        ),
        "webhook and time": (
            LogFilter(webhook=webhook, since=hour),
            "ix_deliveries_webhook_id_id",
        ),
        "webhook and event": (
            LogFilter(webhook=webhook, event=EventName.UPDATED),
            "ix_deliveries_webhook_id_id",
        ),
    }


def plan(current: Session, wanted: LogFilter, place: Cursor | None) -> tuple[str, str]:
    """Return the plan of a log page, and its lines about reading deliveries."""
    scan = scan_for(current, wanted, place, database_time(current))
    assert scan is not None
    newer = place is not None and place.newer
    return explained(current, page_statement(scan, newer=newer, limit=51))


def explained(current: Session, statement: Select[Any]) -> tuple[str, str]:
    """Return the plan of a statement, and its lines about reading deliveries."""
    dialect = current.get_bind().dialect
    command = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    positional = compiled.positiontup
    values = {
        name: kind(value) if (kind := compiled._bind_processors.get(name)) else value
        for name, value in compiled.params.items()
    }
    parameters = tuple(values[name] for name in positional) if positional is not None else values
    rows = current.connection().exec_driver_sql(f"{command} {compiled}", parameters).all()
    lines = [str(row[-1]) for row in rows]
    return "\n".join(lines), "\n".join(line for line in lines if "deliveries" in line)


def test_each_filter_scans_its_index_and_sorts_nothing_of_the_table(hook: Hook) -> None:
    current = session()
    name = current.get_bind().dialect.name
    faults = []
    for words, (log_filter, index) in filters(hook).items():
        for where, place in PLACES.items():
            whole, lines = plan(current, log_filter, place)
            expected = PRIMARY[name] if index == "primary" else index
            # On SQLite, a page starts at the cursor only if the id bounds the search.
            searched = "id<?" if name == "sqlite" else "Index"
            bad = ("SCAN deliveries", "Seq Scan on deliveries", "Bitmap")
            # PostgreSQL sorts all rows if they are fewer than a window takes.
            bad = bad[:2] if words == "attention" else bad
            if expected not in lines or searched not in lines or any(b in whole for b in bad):
                faults.append(f"{words}, {where}:\n{whole}")
            # SQLite finds the end of a window in the index alone.
            if words == "attention" and name == "sqlite" and f"COVERING INDEX {index}" not in lines:
                faults.append(f"{words}, {where} reads rows for its end:\n{whole}")
            sorts = whole.count("TEMP B-TREE") + whole.count("Sort Key")
            # Matches from a window, or from several branches, are sorted.
            several = (
                len(log_filter.reasons) if len(log_filter.reasons) > 1 else BRANCHES.get(words, 0)
            )
            several *= 2 if words == "attention" else 1
            if sorts > (several or (1 if log_filter.event and log_filter.webhook else 0)):
                faults.append(f"{words}, {where} sorts:\n{whole}")
    assert not faults, "\n\n".join(faults)


def test_the_newest_delivery_of_each_webhook_is_one_index_step(hook: Hook) -> None:
    current = session()
    whole, lines = explained(current, select(Webhook.id, youngest()))
    assert "ix_deliveries_webhook_id_id" in lines, whole
    assert "pk_deliveries" not in lines, whole
    ids = dict(current.execute(select(Webhook.id, youngest())).all())
    newest = current.execute(
        select(Delivery.webhook_id, func.max(Delivery.id)).group_by(Delivery.webhook_id)
    )
    assert ids == dict(newest.all())


def test_one_delivery_is_found_without_a_scan(hook: Hook) -> None:
    whole, _ = plan(session(), LogFilter(delivery=make_delivery()), None)
    assert "Seq Scan on deliveries" not in whole, whole
    assert "SCAN deliveries\n" not in f"{whole}\n", whole


@pytest.mark.usefixtures("app")
def test_a_page_scans_no_table_beyond_its_own_rows(database_kind: str) -> None:
    if database_kind != "sqlite":
        pytest.skip("There the planner goes by how few rows a test has.")
    failed = make_delivery(make_webhook(in_order=True), status="retrying", reason="server")
    make_attempt(failed, reason="server", response_text="Out of order")
    scans: set[str] = set()

    def explain(connection: Any, _cursor: Any, words: str, values: Any, *_: Any) -> None:
        plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {words}", values)
        scans.update(row[-1] for row in plan.fetchall() if row[-1].startswith("SCAN "))

    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        for log_filter in (
            LogFilter(),
            LogFilter(status=StatusFilter.RETRYING),
            LogFilter(failed=FailedBetween(utcnow() - timedelta(days=1))),
            LogFilter(answer="order"),
        ):
            (row,) = log_pages.find_page(log_filter).page.rows
            assert (row.public_id, row.sent) == (failed, 1)
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)
    assert {scan.split()[1] for scan in scans} & TABLES == set()


def test_the_backlog_is_counted_along_the_index_of_failing_deliveries(hook: Hook) -> None:
    current = session()
    name = current.get_bind().dialect.name
    whole, lines = explained(current, backlog._counted(name, of_some=False))
    assert "ix_deliveries_failing" in lines, whole
    # No row of the log is read.
    assert name != "sqlite" or "COVERING INDEX ix_deliveries_failing" in lines, whole
    assert "Seq Scan on deliveries" not in whole, whole
    assert "SCAN deliveries\n" not in f"{lines}\n", whole


def test_the_undelivered_of_each_webhook_are_counted_along_their_index(hook: Hook) -> None:
    current, now = session(), utcnow()
    spans = [LogFilter(since=now - timedelta(seconds=ROWS), until=now)]
    whole, lines = explained(current, undelivered_statement(current, spans))
    # Both parts of the bounded count go by webhook, status, and id.
    assert lines.count("ix_deliveries_webhook_id_status_id") >= 2, whole
    ranged = "status=? AND rowid>?" if current.get_bind().dialect.name == "sqlite" else "id >="
    assert ranged in whole or "status=? AND id>?" in whole, whole
    assert "ix_deliveries_created_at" not in whole, whole
    for scan in ("Seq Scan on deliveries", "SCAN deliveries"):
        assert scan not in whole, whole
