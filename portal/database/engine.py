"""Set up engines for SQLite and PostgreSQL, their column types, and the database's clock."""

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import click

# Only one SQLite library per process. Two on one file lose each other's locks.
import sqlcipher3 as sqlite_module
from flask import current_app
from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Numeric,
    Row,
    bindparam,
    create_engine,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator

from portal.database import trouble
from portal.lib.clock import frozen_at, note_skew, utcnow

FULL: Final = "full"
PLAIN: Final = "plain"
CHOICES: Final = (FULL, PLAIN)

# https://www.postgresql.org/docs/current/libpq-connect.html. A broken path is noticed by
# unacknowledged data (milliseconds) or by probes while we wait for a response (seconds). A Save
# that meets a broken path and then no server that accepts a connection ends within 10 seconds.
OF_CLIENT: Final[Mapping[str, Any]] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 4_000,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
# The server's side: it releases a vanished client and its locks.
OF_SESSION: Final[Mapping[str, str]] = {
    "statement_timeout": "30000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "15000",
    "timezone": "UTC",
    "client_connection_check_interval": "5000",
    "tcp_user_timeout": "15000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def connect_arguments(url: URL, options: str) -> dict[str, Any]:
    """Return psycopg's connect arguments. Arguments in `url` take precedence."""
    query = url.normalized_query
    arguments = {name: value for name, value in OF_CLIENT.items() if name not in query}
    if options == PLAIN:
        # Behind a pooler, the next statement can reach a session without prepared statements.
        return {**arguments, "prepare_threshold": None}
    words = [f"-c {name}={value}" for name, value in OF_SESSION.items()]
    return {**arguments, "options": " ".join([*words, *query.get("options", ())])}


# A row whose columns are named in the query beside it.
AnyRow = Row[*tuple[Any, ...]]


def is_away(error: DBAPIError) -> bool:
    """Return whether a retry helps because the database is down, starting, stopping, or busy.

    A statement timeout doesn't count because a retry would time out again.
    """
    if error.connection_invalidated or error.statement is None:  # lost or never connected
        return True
    problem = trouble.of_error(error.orig)
    return problem is not None and problem.kind is trouble.Kind.LOCKED


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite stores fixed-width text whose order is the order of time."""

    impl = DateTime
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Use `timestamptz` on PostgreSQL."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times because they would be read as another instant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without its zone was about to be stored.")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time in UTC, aware."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Money(TypeDecorator[Decimal]):
    """An amount with two decimals and up to ten digits before them.

    SQLite has no decimals. Its floats hold 15 exact digits, of which we need 12. Results are
    rounded to cents.
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Use floats on SQLite and decimals on PostgreSQL."""
        kind: Numeric[Any] = (
            Numeric(12, 2) if dialect.name == "postgresql" else Numeric(12, 2, asdecimal=False)
        )
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Pass floats to SQLite."""
        return value if value is None or dialect.name == "postgresql" else float(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return exactly two decimals."""
        return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"))


def shown(url: str | URL) -> str:
    """Return the database's URL without its password."""
    parts = make_url(url)
    secret = [name for name in parts.query if "password" in name]
    return parts.difference_update_query(secret).render_as_string(hide_password=True)


def engine_options(url: str, options: str = FULL) -> dict[str, Any]:
    """Return options of `create_engine` for the database at `url`.

    `options`: DATABASE_OPTIONS. Errors omit the statement's values because errors are logged and
    values can be secrets.
    """
    if make_url(url).get_backend_name() == "sqlite":
        return {
            "module": sqlite_module,
            "hide_parameters": True,
            # The driver's own transactions silently lose updates, so we issue BEGIN ourselves.
            "connect_args": {"isolation_level": None, "check_same_thread": False},
        }
    return {
        "hide_parameters": True,
        "pool_pre_ping": True,
        "pool_size": 10,
        "max_overflow": 10,
        "connect_args": connect_arguments(make_url(url), options),
    }


def impatient_engine(url: str, options: str = FULL) -> Engine:
    """Return the dispatcher's engine, whose connections wait at most 100 ms for a lock.

    The dispatcher's sockets must not wait for the database. A stalled dispatcher soon loses its
    locks. Connections aren't pinged before use because the dispatcher retries anyway.
    """
    engine = create_engine(url, **(engine_options(url, options) | {"pool_pre_ping": False}))
    prepare_engine(engine)
    trouble.listen(engine, hears_locks=False)
    event.listen(engine, "connect", _be_impatient)
    return engine


def brief_engine(url: str, options: str = FULL) -> Engine:
    """Return the heartbeats' engine: one connection with timeouts of two seconds.

    Its writes don't need to survive a power failure.
    """
    chosen = engine_options(url, options) | {"pool_pre_ping": False}
    if make_url(url).get_backend_name() == "postgresql":
        chosen |= {"pool_size": 1, "max_overflow": 0}
        chosen["connect_args"] |= {"connect_timeout": 2, "tcp_user_timeout": 2000}
    engine = create_engine(url, **chosen)
    prepare_engine(engine)
    event.listen(engine, "connect", _be_brief)
    return engine


def _be_brief(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    if hasattr(connection, "pgconn"):
        for setting in ("statement_timeout", "lock_timeout"):
            cursor.execute(f"SET {setting} = '2s'")
        cursor.execute("SET synchronous_commit = off")
        connection.commit()
    else:
        cursor.execute("PRAGMA busy_timeout=1000")
        cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _be_impatient(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    if hasattr(connection, "pgconn"):
        cursor.execute("SET lock_timeout = '100ms'")
        cursor.execute("SET idle_in_transaction_session_timeout = '5s'")
        # PostgreSQL's statistics of a queue table are always stale. It assumed a small table and
        # scanned all of it for each batch. A bitmap scan leaves the dead entries of leases in their
        # index. A plain index scan marks them, so that the next scan skips them.
        for setting in ("enable_seqscan", "enable_bitmapscan", "jit"):
            cursor.execute(f"SET {setting} = off")
        # Our parameters are JSON and times, for which a custom plan is no better.
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        connection.commit()
    else:
        cursor.execute("PRAGMA busy_timeout=100")
        # Other connections checkpoint the WAL after 1000 pages. A checkpoint in a claim would delay
        # the claimed deliveries. In a burst, pages that change often are then copied only once.
        cursor.execute("PRAGMA wal_autocheckpoint=4000")
    cursor.close()


def prepare_engine(engine: Engine) -> None:
    """Set up the connections of a SQLite engine. PostgreSQL gets its options on connect."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA cache_size=-2000")  # KiB. This library's default of 8000 gains nothing.
    cursor.close()


def _begin(connection: Connection) -> None:
    # A read transaction that starts to write can fail right away, regardless of the timeout. So a
    # writing transaction announces this at its start.
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writing") else "BEGIN")


# Both are constant during one statement, so that the database can use an index.
CLOCK: Final[dict[str, ColumnElement[Any]]] = {
    "sqlite": literal_column("strftime('%Y-%m-%d %H:%M:%f000', 'now')"),
    "postgresql": literal_column("statement_timestamp()"),
}


NOW: Final[Any] = bindparam("now", type_=UtcDateTime())


def clock(dialect: str) -> ColumnElement[datetime]:
    """Return the database's clock as a column. The statement's parameter `now` is `frozen_at()`."""
    return func.coalesce(NOW, CLOCK[dialect], type_=UtcDateTime())


def database_now(connection: Connection) -> datetime:
    """Return the database's time, which every machine uses for due times, leases, and pauses."""
    if (moment := frozen_at()) is not None:
        return moment
    asked_at = utcnow()
    value = connection.execute(select(CLOCK[connection.dialect.name])).scalar_one()
    if isinstance(value, datetime):
        now = value.astimezone(UTC)
    else:
        now = datetime.fromisoformat(value).replace(tzinfo=UTC)
    note_skew(now, asked_at)
    return now


def in_words(command: click.Command) -> click.Command:
    """Make `command` report in one sentence that the database is down or of another version."""
    run = command.callback
    if run is None:
        raise TypeError(f"{command.name} does nothing by itself")

    @functools.wraps(run)
    def reporting(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except DBAPIError as error:
            settings: Any = current_app.extensions["settings"]
            raise click.ClickException(
                f"{unusable(settings.database_url, error)} To find the cause, run "
                f"{settings.command('doctor')}."
            ) from None

    command.callback = reporting
    return command


def unusable(url: str, error: DBAPIError) -> str:
    """Return a sentence that names the unusable database, without its password, and the cause."""
    return f"The portal can’t use the database {shown(url)} ({trouble.words_of(error.orig)})."
