"""Reset a database to its state after the migrations, fast enough for thousands of tests."""

import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.engine import URL

from portal.extensions import Base

# Most dead rows in a PostgreSQL database before it is truncated. With more of them, PostgreSQL
# reads and plans as if they were alive.
MOST_GAPS: Final = 2000
_gaps: Final[Counter[str]] = Counter()

RESTART = """
SELECT setval(CAST(sequencename AS regclass), start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""


def keep_empty_copy(url: str) -> None:
    """Copy a migrated SQLite database that nobody has open."""
    path = path_of(url)
    shutil.copy(path, path.with_suffix(".empty"))


def empty_out(engine: Engine) -> None:
    """Delete all rows and reset all sequences. For SQLite, needs a copy by `keep_empty_copy`."""
    if engine.dialect.name == "sqlite":
        put_in_place(engine, path_of(engine.url).with_suffix(".empty"))
    else:
        with apart(engine.url).begin() as connection:
            _take_rows_out(connection)


def put_in_place(engine: Engine, copy: Path) -> None:
    """Replace a SQLite database by a copy of it."""
    engine.dispose()
    path = path_of(engine.url)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, path)


def fill_gaps(engine: Engine) -> None:
    """Truncate all tables of PostgreSQL, because dead rows can change a query plan."""
    if engine.dialect.name == "postgresql":
        with apart(engine.url).begin() as connection:
            _take_all_out(connection)


def leave(engine: Engine) -> None:
    """Close the engine that `empty_out` uses."""
    if engine.dialect.name == "postgresql":
        apart(engine.url).dispose()


@cache
def apart(url: URL) -> Engine:
    """Return an engine without triggers and foreign keys, because the audit trail refuses deletes.

    Switching an existing connection to this role and back would discard its cached plans, and each
    test would have to plan again.
    """
    replica = {"options": "-c session_replication_role=replica"}
    return create_engine(url, pool_size=1, pool_pre_ping=True, connect_args=replica)


def _take_rows_out(connection: Connection) -> None:
    database = str(connection.engine.url)
    tables = connection.exec_driver_sql(_which_are_filled()).scalars().all()
    # DELETE costs a tenth of TRUNCATE, which includes all tables that refer to these and makes
    # PostgreSQL plan every statement again.
    for name in tables:
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
    return Path(make_url(url).database or "")
