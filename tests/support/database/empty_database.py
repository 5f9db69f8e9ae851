"""Brings a database back to what the migrations left, fast: thousands of tests begin with it."""

import shutil
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, make_url

from portal.extensions import Base

RESTART = """
SELECT setval(CAST(sequencename AS regclass), start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""


def keep_empty_copy(url: str) -> None:
    """Remember a migrated SQLite database that nobody has open."""
    path = _path(url)
    shutil.copy(path, path.with_suffix(".empty"))


def empty_out(engine: Engine) -> None:
    """No rows, and every count at its start. For SQLite there has to be a copy."""
    if engine.dialect.name == "sqlite":
        engine.dispose()
        path = _path(str(engine.url))
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(path.with_suffix(".empty"), path)
    else:
        with engine.begin() as connection:
            _take_rows_out(connection)


def _take_rows_out(connection: Connection) -> None:
    # Not DELETE, though it costs less for a few rows: what comes next would stand in the gaps that
    # it leaves, and what is read without an order would come in another one.
    filled = connection.exec_driver_sql(_which_are_filled()).scalars().all()
    # The audit trail refuses to be emptied; a superuser's session may say so.
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    if filled:
        connection.exec_driver_sql(f"TRUNCATE {', '.join(filled)} CASCADE")
    connection.exec_driver_sql(RESTART)


@cache
def _which_are_filled() -> str:
    return " UNION ALL ".join(
        f"(SELECT '{name}' FROM {name} LIMIT 1)"  # noqa: S608 - our names
        for name in Base.metadata.tables
    )


def _path(url: str) -> Path:
    return Path(make_url(url).database or "")
