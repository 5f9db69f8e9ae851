"""Brings a database back to what the migrations left, fast: thousands of tests begin with it."""

import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.engine import URL

from portal.extensions import Base

# Rows taken out of a database of PostgreSQL since all of it was made anew: with many of them it
# would read and plan as if they were there.
MOST_GAPS: Final = 2000
_gaps: Final[Counter[str]] = Counter()

RESTART = """
SELECT setval(CAST(sequencename AS regclass), start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""


def keep_empty_copy(url: str) -> None:
    """Remember a migrated SQLite database that nobody has open."""
    path = path_of(url)
    shutil.copy(path, path.with_suffix(".empty"))


def empty_out(engine: Engine) -> None:
    """No rows, and every count at its start. For SQLite there has to be a copy."""
    if engine.dialect.name == "sqlite":
        put_in_place(engine, path_of(engine.url).with_suffix(".empty"))
    else:
        with apart(engine.url).begin() as connection:
            _take_rows_out(connection)


def put_in_place(engine: Engine, copy: Path) -> None:
    """Have SQLite's database be what it was when it was copied."""
    engine.dispose()
    path = path_of(engine.url)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, path)


def fill_gaps(engine: Engine) -> None:
    """No traces of rows that were taken out either: a planner may choose another way for them."""
    if engine.dialect.name == "postgresql":
        with apart(engine.url).begin() as connection:
            _take_all_out(connection)


def leave(engine: Engine) -> None:
    """Close what was opened to empty it out."""
    if engine.dialect.name == "postgresql":
        apart(engine.url).dispose()


@cache
def apart(url: URL) -> Engine:
    """A connection for this alone, which asks neither triggers nor foreign keys: the audit trail
    refuses to be emptied. One that goes over to this, or comes back from it, forgets every plan
    that it has made; each test would make all of its own again."""
    replica = {"options": "-c session_replication_role=replica"}
    return create_engine(url, pool_size=1, pool_pre_ping=True, connect_args=replica)


def _take_rows_out(connection: Connection) -> None:
    database = str(connection.engine.url)
    filled = connection.exec_driver_sql(_which_are_filled()).scalars().all()
    # To take them out one by one costs the server a tenth of TRUNCATE, which takes every table
    # that refers to one of these along and has every statement planned anew.
    for name in filled:
        _gaps[database] += connection.exec_driver_sql(f"DELETE FROM {name}").rowcount  # noqa: S608 - ours
    if _gaps[database] > MOST_GAPS:
        _take_all_out(connection)
    connection.exec_driver_sql(RESTART)


def _take_all_out(connection: Connection) -> None:
    connection.exec_driver_sql(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY")
    _gaps[str(connection.engine.url)] = 0


@cache
def _which_are_filled() -> str:
    return " UNION ALL ".join(
        f"(SELECT '{name}' FROM {name} LIMIT 1)"  # noqa: S608 - our names
        for name in Base.metadata.tables
    )


def path_of(url: str | URL) -> Path:
    """The file of a SQLite database."""
    return Path(make_url(url).database or "")
