"""Fill a log of any size by the database itself, with ten million deliveries in a few minutes.

They are spread over nearly thirty days. The newest hundredth waits for one webhook, and another
webhook has been quiet for long. Indexes are dropped during the writing, and foreign keys are not
checked.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, text

from portal.extensions import db

SPAN: Final = 29.9 * 86400  # seconds, so that no row is old enough to be pruned
BACKLOG: Final = 100  # one in this many deliveries waits, the newest ones
BUSY: Final = 3  # the webhook they wait for
HOOKS: Final = 50
QUIET: Final = HOOKS + 1  # a webhook that has had nothing since the first thousandth of the log
ASSETS: Final = 5000

NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)",
    "postgresql": "WITH n AS (SELECT generate_series(1, :rows) AS i)",
}
# In the order of time, like the portal's own ids.
ID = {
    "sqlite": "printf('%012x7000800000000000%04x', i, i % 65536)",
    "postgresql": "(lpad(to_hex(i), 12, '0') || '7000800000000000'"
    " || lpad(to_hex(i % 65536), 4, '0'))::uuid",
}
AT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now',"
    " '-' || ((:rows - i) * {step}) || ' seconds')",
    "postgresql": "now() - (:rows - i) * {step} * interval '1 second'",
}
EVENTS = """INSERT INTO events
  (public_id, event, asset_id, asset_tag, asset_name, occurred_at, body, is_test)
  {numbers} SELECT {id}, 'asset.updated', 1 + i % {assets}, 'AST-1', 'Projector', {at}, {body}, {no}
  FROM n"""
DELIVERIES = """INSERT INTO deliveries
  (public_id, event_id, webhook_id, event, asset_id, status, priority, due_at, tries, attempts,
   reason, code, created_at, finished_at, failing_since)
  {numbers} SELECT {id}, i,
    CASE WHEN i > :rows - :rows / {backlog} THEN {busy} WHEN i < :rows / 1000 THEN {quiet}
      ELSE 1 + i % {hooks} END,
    CASE WHEN i % 3 = 0 THEN 'asset.created' ELSE 'asset.updated' END, 1 + i % {assets},
    CASE WHEN i > :rows - :rows / {backlog} THEN 'queued' WHEN i % 20 = 0 THEN 'failed'
      ELSE 'delivered' END,
    2, {at}, 1, 1,
    CASE WHEN i % 40 = 0 THEN 'server' WHEN i % 20 = 0 THEN 'dns' END,
    CASE WHEN i % 40 = 0 THEN 500 WHEN i % 20 > 0 THEN 200 END,
    {at}, CASE WHEN i > :rows - :rows / {backlog} THEN NULL ELSE {at} END,
    CASE WHEN i % 20 = 0 AND i <= :rows - :rows / {backlog} THEN {at} END
  FROM n"""
ATTEMPTS = """INSERT INTO attempts
  (delivery_id, number, kind, url, outcome, started_at, finished_at)
  {numbers} SELECT i, 1, 'scheduled', 'https://receiver.example.com/hook',
    CASE WHEN i % 20 = 0 THEN 'failed' ELSE 'delivered' END, {at}, {at}
  FROM n WHERE i <= :rows - :rows / {backlog}"""
# The responses to failed attempts.
BODIES = """INSERT INTO attempt_bodies
  (attempt_id, request_headers, response_headers, response_text, is_truncated, detail)
  {numbers} SELECT i, '[]', '[]', 'asset.serial_number is missing, code ' || i % 1000, {no}, ''
  FROM n WHERE i % 20 = 0 AND i <= :rows - :rows / {backlog}"""
NUMBERED = ("events", "deliveries", "attempts")
TABLES = (*NUMBERED, "attempt_bodies", "webhooks")
EMPTY = (
    "DELETE FROM attempt_bodies",
    "DELETE FROM attempts",
    "DELETE FROM deliveries",
    "DELETE FROM events",
)


def fill(rows: int, hooks: int = HOOKS) -> None:
    """Replace the log with `rows` deliveries to `hooks` webhooks and the quiet one, each with its
    own event. Then ANALYZE."""
    db.session.rollback()
    engine, is_sqlite = db.engine, db.engine.dialect.name == "sqlite"
    with engine.connect().execution_options(writing=True) as connection, connection.begin():
        for setting in _settings(is_sqlite):
            connection.execute(text(setting))
        for statement in EMPTY:
            connection.execute(text(statement))
        _restart_numbers(connection, is_sqlite)
        indexes = _take_indexes(connection, is_sqlite)
        for statement in (EVENTS, DELIVERIES, ATTEMPTS, BODIES):
            connection.execute(text(_words(statement, rows, hooks)), {"rows": rows})
        for index in indexes:
            connection.execute(text(index))
    analyze(TABLES)


def analyze(tables: Iterable[str]) -> None:
    """Update the planner's statistics, and on PostgreSQL also the visibility of rows."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("ANALYZE"))
            return
        connection.execute(text("SET statement_timeout = 0"))
        for table in tables:
            connection.execute(text(f"VACUUM ANALYZE {table}"))
        connection.execute(text("CHECKPOINT"))


def _settings(is_sqlite: bool) -> tuple[str, ...]:
    if is_sqlite:
        return ()
    return (
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL session_replication_role = replica",
        "SET LOCAL maintenance_work_mem = '512MB'",
        "SET LOCAL synchronous_commit = off",
    )


def _restart_numbers(connection: Connection, is_sqlite: bool) -> None:
    for table in NUMBERED:
        if is_sqlite:
            forget = text("DELETE FROM sqlite_sequence WHERE name = :name")
            connection.execute(forget, {"name": table})
        else:
            connection.execute(text(f"ALTER SEQUENCE {table}_id_seq RESTART"))


def _take_indexes(connection: Connection, is_sqlite: bool) -> list[str]:
    """Drop the indexes that are not constraints. Return the statements that recreate them."""
    query = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        " AND tbl_name IN ('deliveries', 'attempts')"
        if is_sqlite
        else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND tablename IN ('deliveries', 'attempts')"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    indexes = connection.execute(text(query)).all()
    for name, _ in indexes:
        connection.execute(text(f"DROP INDEX {name}"))
    return [words for _, words in indexes]


def _words(statement: str, rows: int, hooks: int) -> str:
    dialect = db.engine.dialect.name
    return statement.format(
        numbers=NUMBERS[dialect],
        id=ID[dialect],
        at=AT[dialect].format(step=SPAN / rows),
        body="x'7b7d'" if dialect == "sqlite" else "'{}'::bytea",
        no="0" if dialect == "sqlite" else "false",
        backlog=BACKLOG,
        busy=BUSY,
        hooks=hooks,
        quiet=hooks + 1,
        assets=ASSETS,
    )
