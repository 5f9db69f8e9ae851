"""Count the database work of a call, which is the same on a busy machine as on a quiet one."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from portal.extensions import db

STEPS = 1000  # steps of SQLite's machine between two counts


def touched(call: Callable[[], object]) -> int:
    """Return the buffer pages that the call's queries read on PostgreSQL, or thousands of steps on
    SQLite."""
    db.session.rollback()
    count = _steps if db.engine.dialect.name == "sqlite" else _buffers
    with count() as counted:
        call()
    db.session.rollback()
    return sum(counted)


@contextmanager
def _steps() -> Iterator[list[int]]:
    counted: list[int] = []

    def count() -> int:
        counted.append(1)
        return 0

    def prepare(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, STEPS)

    with _listening("begin", prepare):
        yield counted
    with db.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(None, STEPS)


@contextmanager
def _buffers() -> Iterator[list[int]]:
    counted: list[int] = []

    def explain(connection: Connection, _cursor: Any, words: str, values: Any, *_: Any) -> None:
        if words.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {words}", values)
                counted.append(_read(cursor.fetchone()[0]))

    with _listening("before_cursor_execute", explain):
        yield counted


def _read(found: Any) -> int:
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@contextmanager
def _listening(name: str, heard: Callable[..., None]) -> Iterator[None]:
    event.listen(db.engine, name, heard)
    try:
        yield
    finally:
        event.remove(db.engine, name, heard)
