"""Fill a register of any size by the database itself, as its own imports would leave it.

Half of the assets are free, nearly half are out, and a twentieth of those is late. A few are lost,
broken or in maintenance. Each person has about ten assets.
"""

from typing import Final

from sqlalchemy import Connection, text

from bench.support.log_rows import ID, NUMBERS, analyze
from portal.extensions import db

CATEGORIES: Final = 30
LOCATIONS: Final = 50
ASSETS_A_PERSON: Final = 20  # of all assets, including unassigned ones
TABLES: Final = ("assets", "assignments", "staff", "categories", "locations")

NOW = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')", "postgresql": "now()"}
LONG_AGO = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-30 days')",
    "postgresql": "now() - interval '30 days'",
}
LATER = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now', CASE WHEN i % 50 = 3 THEN '-2 days'"
    " ELSE '+20 days' END)",
    "postgresql": "now() + CASE WHEN i % 50 = 3 THEN -2 ELSE 20 END * interval '1 day'",
}
TAG = {
    "sqlite": "printf('AST-%05d', i)",
    "postgresql": "'AST-' || lpad(i::text, greatest(5, length(i::text)), '0')",
}
# Spread over the whole range, like the serial numbers of many makers.
SERIAL = {
    "sqlite": "printf('SN%08X', i * 2654435761 % 4294967296)",
    "postgresql": "'SN' || lpad(upper(to_hex(i * 2654435761 % 4294967296)), 8, '0')",
}
NAMED = "INSERT INTO {table} (public_id, name, version, created_at) {numbers} SELECT {id},"
NAMED += " '{word} ' || i, 1, {now} FROM n"
STAFF = """INSERT INTO staff (public_id, name, email, department, is_active, version, created_at)
  {numbers} SELECT {id}, CASE i % 4 WHEN 0 THEN 'Maria' WHEN 1 THEN 'Ben' WHEN 2 THEN 'Zoe'
    ELSE 'Omar' END || ' Lopez ' || i, 'person.' || i || '@example.com', 'IT', {yes}, 1, {now}
  FROM n"""
ASSETS = """INSERT INTO assets
  (asset_tag, name, kind, category_id, serial_number, status, condition, location_id, reservable,
   quantity, min_quantity, notes, version, created_at, updated_at)
  {numbers} SELECT {tag},
    CASE i % 10 WHEN 0 THEN 'ThinkPad T14' WHEN 1 THEN 'Latitude 5440' WHEN 2 THEN 'iPhone 15'
      WHEN 3 THEN 'Projector' WHEN 4 THEN 'Monitor 27' WHEN 5 THEN 'Dock' WHEN 6 THEN 'Headset'
      WHEN 7 THEN 'Chair' WHEN 8 THEN 'Camera' ELSE 'Tablet' END || ' ' || (i % 97),
    CASE WHEN i % 100 = 0 THEN 'stock' ELSE 'item' END, 1 + i % {categories}, {serial},
    CASE WHEN i % 100 = 0 OR i % 2 = 0 THEN 'available' WHEN i % 4 = 1 THEN 'allocated'
      WHEN i % 100 = 19 THEN 'lost' WHEN i % 100 = 15 THEN 'broken'
      WHEN i % 50 = 11 THEN 'maintenance' ELSE 'checked_out' END,
    'good', 1 + i % {locations}, {yes}, CASE WHEN i % 100 = 0 THEN 5 END,
    CASE WHEN i % 100 = 0 THEN i / 100 % 10 END, 'Bought with the others. ', 1,
    {long_ago}, {long_ago}
  FROM n"""
HELD = """INSERT INTO assignments
  (asset_id, staff_id, kind, started_at, due_at, condition_out, purpose, notes)
  SELECT i, 1 + i % :staff, CASE status WHEN 'allocated' THEN 'allocation' ELSE 'checkout' END,
    {now}, CASE status WHEN 'checked_out' THEN {later} END, 'good', '', ''
  FROM (SELECT id AS i, status FROM assets) AS each_of_them
  WHERE status IN ('allocated', 'checked_out')"""


def fill(assets: int) -> None:
    """Write a register of this many assets into an empty database, then ANALYZE."""
    db.session.rollback()
    staff = max(assets // ASSETS_A_PERSON, 1)
    with db.engine.connect().execution_options(writing=True) as connection, connection.begin():
        if connection.dialect.name != "sqlite":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        for table, word, rows in (
            ("categories", "Category", CATEGORIES),
            ("locations", "Room", LOCATIONS),
        ):
            _write(connection, NAMED, rows, table=table, word=word)
        _write(connection, STAFF, staff)
        _write(connection, ASSETS, assets)
        connection.execute(text(_words(connection, HELD)), {"staff": staff})
    analyze(TABLES)


def _write(connection: Connection, statement: str, rows: int, **names: str) -> None:
    connection.execute(text(_words(connection, statement, **names)), {"rows": rows})


def _words(connection: Connection, statement: str, **names: str) -> str:
    dialect = connection.dialect.name
    return statement.format(
        numbers=NUMBERS[dialect],
        id=ID[dialect],
        now=NOW[dialect],
        later=LATER[dialect],
        long_ago=LONG_AGO[dialect],
        tag=TAG[dialect],
        serial=SERIAL[dialect],
        yes="1" if dialect == "sqlite" else "true",
        categories=CATEGORIES,
        locations=LOCATIONS,
        **names,
    )
