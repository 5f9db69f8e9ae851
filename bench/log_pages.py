"""Pages of the log with ten thousand and a million deliveries in it."""

import os
import statistics
import time
from collections.abc import Iterator

from sqlalchemy import text

from bench.report import Line, milliseconds
from bench.world import DATABASES, webhooks, world
from portal.delivery.events import EventName
from portal.delivery.reasons import Reason
from portal.extensions import db
from portal.lib.paging import Cursor
from portal.services import log
from portal.services.log_filter import LogFilter, StatusFilter
from tests.factories import Hook, make_asset

ROWS = tuple(int(each) for each in os.environ.get("BENCH_ROWS", "10000,1000000").split(","))
REPEATS = 15

NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)",
    "postgresql": "WITH n AS (SELECT generate_series(1, :rows) AS i)",
}
ID = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "gen_random_uuid()",
}
NOW = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || (:rows - i) || ' seconds')",
    "postgresql": "now() - (:rows - i) * interval '1 second'",
}
EVENTS = """INSERT INTO events
  (public_id, event, asset_id, asset_tag, asset_name, occurred_at, body, is_test)
  {numbers} SELECT {id}, 'asset.updated', 1 + i % 500, 'AST-1', 'Projector', {now}, {body}, {no}
  FROM n"""
DELIVERIES = """INSERT INTO deliveries
  (public_id, event_id, webhook_id, event, asset_id, status, priority, due_at, tries, attempts,
   reason, code, created_at)
  {numbers} SELECT {id}, i, 1 + i % 50,
    CASE WHEN i % 3 = 0 THEN 'asset.created' ELSE 'asset.updated' END, 1 + i % 500,
    CASE WHEN i % 20 = 0 THEN 'failed' ELSE 'delivered' END, 2, {now}, 1, 1,
    CASE WHEN i % 40 = 0 THEN 'server' WHEN i % 20 = 0 THEN 'dns' END,
    CASE WHEN i % 40 = 0 THEN 500 WHEN i % 20 > 0 THEN 200 END, {now}
  FROM n"""


def run() -> Iterator[Line]:
    """Median and worst of the first, a middle and the last page, filter by filter."""
    for database in DATABASES:
        for rows in ROWS:
            with world(database) as here:
                hooks = webhooks("http://127.0.0.1:9", 50)
                asset = make_asset("ThinkPad T14")
                _fill(rows)
                for words, wanted in _filters(hooks, asset).items():
                    yield _line(f"Log, {words}, {rows:,} rows, {database}", wanted, rows)
                del here


def _filters(hooks: list[Hook], asset: int) -> dict[str, LogFilter]:
    erp = hooks[7].public_id
    return {
        "unfiltered": LogFilter(),
        "one webhook": LogFilter(webhook=erp),
        "webhook and status": LogFilter(webhook=erp, status=StatusFilter.DELIVERED),
        "failed": LogFilter(status=StatusFilter.ATTENTION),
        "a group of reasons": LogFilter(reasons=(Reason.SERVER, Reason.DNS)),
        "an asset's tag": LogFilter(search="ThinkPad"),
        "webhook, event and reason": LogFilter(
            webhook=erp, event=EventName.DELETED, reasons=(Reason.SERVER,)
        ),
    }


def _line(what: str, wanted: LogFilter, rows: int) -> Line:
    places = (None, Cursor((rows // 2,)).encode(), Cursor((60,)).encode())
    times = []
    for place in places:
        log.find_page(wanted, place)
        for _ in range(REPEATS):
            db.session.rollback()
            began = time.perf_counter()
            log.find_page(wanted, place)
            times.append(time.perf_counter() - began)
    return Line(what, milliseconds(statistics.median(times)), f"worst {milliseconds(max(times))}")


def _fill(rows: int) -> None:
    dialect = db.engine.dialect.name
    db.session.rollback()
    with db.engine.connect().execution_options(writing=True) as connection, connection.begin():
        if dialect == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        for statement in ("DELETE FROM activities", "DELETE FROM deliveries", "DELETE FROM events"):
            connection.execute(text(statement))
        if dialect == "sqlite":
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'events'"))
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'deliveries'"))
        else:
            connection.execute(text("ALTER SEQUENCE events_id_seq RESTART"))
            connection.execute(text("ALTER SEQUENCE deliveries_id_seq RESTART"))
        for statement in (EVENTS, DELIVERIES):
            words = statement.format(
                numbers=NUMBERS[dialect],
                id=ID[dialect],
                now=NOW[dialect],
                body="x'7b7d'" if dialect == "sqlite" else "'{}'::bytea",
                no="0" if dialect == "sqlite" else "false",
            )
            connection.execute(text(words), {"rows": rows})
    with db.engine.connect() as connection:
        if dialect == "postgresql":
            connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("ANALYZE"))
        connection.commit()
