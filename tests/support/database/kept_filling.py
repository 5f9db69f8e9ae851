"""Fill a database once if that takes long. Further tests get the same rows back."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, text

from portal.database.engine import sqlite_module
from portal.extensions import Base, db
from tests.support.database.empty_database import apart, path_of, put_in_place

T = TypeVar("T")
# (database, filling function) → (its result, a function that restores the rows)
_kept: Final[dict[tuple[str, str], tuple[Any, Callable[[], None]]]] = {}


def filled_once(fill: Callable[[], T]) -> T:
    """Fill an empty database with `fill`, or restore its rows. Returns the result of `fill`."""
    engine = db.engine
    key = (str(engine.url), f"{fill.__module__}.{fill.__qualname__}")
    if key in _kept:
        made, put_back = _kept[key]
        db.session.remove()
        put_back()
        return made
    made = fill()
    db.session.remove()
    is_file = engine.dialect.name == "sqlite"
    _kept[key] = made, _keep_file(engine, key[1]) if is_file else _keep_rows(engine)
    return made


def told_once(fill: Callable[[], T]) -> T:
    """Fill the database like `filled_once`, and update the planner's statistics."""
    made = filled_once(fill)
    current = db.session
    current.execute(text("ANALYZE"))
    current.commit()
    return made


def _keep_file(engine: Engine, name: str) -> Callable[[], None]:
    path = path_of(engine.url)
    copy = path.with_suffix(f".{name}")
    connect = sqlite_module.connect
    # A plain copy of the file would miss rows that are still in the write-ahead log.
    with closing(connect(path)) as stored, closing(connect(copy)) as kept:
        stored.backup(kept)
    return lambda: put_in_place(engine, copy)


def _keep_rows(engine: Engine) -> Callable[[], None]:
    rows: dict[str, bytes] = {}
    with apart(engine.url).begin() as connection:
        cursor: Any = connection.connection.cursor()
        for table in Base.metadata.tables:
            with cursor.copy(f"COPY {table} TO STDOUT") as chunks:
                rows[table] = b"".join(chunks)
        counts = connection.exec_driver_sql(
            "SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL"
        ).all()

    def put_back() -> None:
        with apart(engine.url).begin() as connection:
            cursor: Any = connection.connection.cursor()
            for table, lines in rows.items():
                if lines:
                    with cursor.copy(f"COPY {table} FROM STDIN") as target:
                        target.write(lines)
            for sequence, last in counts:
                connection.exec_driver_sql("SELECT setval(%s, %s)", (sequence, last))

    return put_back
