"""Set up engines for SQLite and PostgreSQL, their column types, and the database's clock."""

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import click

# One SQLite for the whole process: two on one file lose each other's locks.
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

# https://www.postgresql.org/docs/current/libpq-connect.html. A cut path is noticed by what was
# sent and not acknowledged (milliseconds), or by probes while we wait for an answer (seconds). A
# Save that meets it first, and then nobody who accepts a connection, ends within 10 seconds.
OF_CLIENT: Final[Mapping[str, Any]] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 4_000,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
# The server's own side of it: it lets go of a vanished client and of its locks.
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
    """Return what psycopg is to connect with beside `url`, whose own words win."""
    said = url.normalized_query
    found = {name: value for name, value in OF_CLIENT.items() if name not in said}
    if options == PLAIN:
        # Behind a pooler the next statement may find another session without the prepared ones.
        return {**found, "prepare_threshold": None}
    words = [f"-c {name}={value}" for name, value in OF_SESSION.items()]
    return {**found, "options": " ".join([*words, *said.get("options", ())])}


# A row whose columns the query beside it names.
AnyRow = Row[*tuple[Any, ...]]


def is_away(error: DBAPIError) -> bool:
    """Return whether the database is down, going or coming, or busy: trying again will help.

    Not a statement that took too long: that one would do so again.
    """
    if error.connection_invalidated or error.statement is None:  # lost, or never there
        return True
    found = trouble.of_error(error.orig)
    return found is not None and found.kind is trouble.Kind.LOCKED


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps fixed-width text, so that text order is time order."""

    impl = DateTime
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """Return the type of its values."""
        return datetime

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """`timestamptz` on PostgreSQL."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they would be read as another instant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without its zone was about to be stored.")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every time its zone."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Money(TypeDecorator[Decimal]):
    """An amount with two decimals, up to ten digits before them.

    SQLite has no decimals: its 15 exact digits hold our twelve, and the result is rounded to cents.
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Numbers in and out on SQLite, decimals on PostgreSQL."""
        kind: Numeric[Any] = (
            Numeric(12, 2) if dialect.name == "postgresql" else Numeric(12, 2, asdecimal=False)
        )
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Give SQLite a number that it can hold."""
        return value if value is None or dialect.name == "postgresql" else float(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Always two decimals, as money is written."""
        return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"))


def shown(url: str | URL) -> str:
    """Return the database's address for people, without its password."""
    parts = make_url(url)
    secret = [name for name in parts.query if "password" in name]
    return parts.difference_update_query(secret).render_as_string(hide_password=True)


def engine_options(url: str, options: str = FULL) -> dict[str, Any]:
    """Options for `create_engine` that fit the database behind `url`. `options`:
    DATABASE_OPTIONS.

    Errors tell the statement without its values, which may be secrets, and errors are logged.
    """
    if make_url(url).get_backend_name() == "sqlite":
        return {
            "module": sqlite_module,
            "hide_parameters": True,
            # The driver's own transactions lose updates silently; we say BEGIN ourselves.
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
    """Return an engine whose connections wait at most 100 ms for a lock: for the dispatcher, whose
    sockets must not wait for the database. One that stands still does not keep its own locks for
    long.

    No connection is asked whether it is alive before its use: the dispatcher tries again anyway.
    """
    engine = create_engine(url, **(engine_options(url, options) | {"pool_pre_ping": False}))
    prepare_engine(engine)
    trouble.listen(engine, hears_locks=False)
    event.listen(engine, "connect", _be_impatient)
    return engine


def brief_engine(url: str, options: str = FULL) -> Engine:
    """Return an engine with one connection that gives everything two seconds: for heartbeats.

    What it writes need not outlive a power cut.
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
        # What PostgreSQL knows of a queue's table is always old; it took it for small, and read it
        # all for each batch. A bitmap leaves the dead entries of leases in their index; a plain
        # scan marks them, so that the next passes by.
        for setting in ("enable_seqscan", "enable_bitmapscan", "jit"):
            cursor.execute(f"SET {setting} = off")
        # Our statements are given JSON and moments, of which a plan of its own would know no more.
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        connection.commit()
    else:
        cursor.execute("PRAGMA busy_timeout=100")
        # Others copy the log back into the file after 1000 pages. A claim that did would hold up
        # what it has claimed; in a burst, pages that are written again and again go back once.
        cursor.execute("PRAGMA wal_autocheckpoint=4000")
    cursor.close()


def prepare_engine(engine: Engine) -> None:
    """Register what every connection of `engine` needs. SQLite only; PostgreSQL has options."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA cache_size=-2000")  # KiB; this library's own 8000 gain nothing
    cursor.close()


def _begin(connection: Connection) -> None:
    # A read transaction that turns into a writing one fails at once whatever the timeout, so a
    # transaction that will write says so when it begins.
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writing") else "BEGIN")


# Each stands still while one statement runs, so that an index may be searched by it.
CLOCK: Final[dict[str, ColumnElement[Any]]] = {
    "sqlite": literal_column("strftime('%Y-%m-%d %H:%M:%f000', 'now')"),
    "postgresql": literal_column("statement_timestamp()"),
}


NOW: Final[Any] = bindparam("now", type_=UtcDateTime())


def clock(dialect: str) -> ColumnElement[datetime]:
    """Return the database's clock as a column; the statement is given `frozen_at()` as `now`."""
    return func.coalesce(NOW, CLOCK[dialect], type_=UtcDateTime())


def database_now(connection: Connection) -> datetime:
    """Return the database's time, by which every machine judges due times, leases and pauses."""
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
    """Have `command` say in one sentence that the database is away, or not of this version."""
    run = command.callback
    if run is None:
        raise TypeError(f"{command.name} does nothing by itself")

    @functools.wraps(run)
    def frozen_at(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except DBAPIError as error:
            settings: Any = current_app.extensions["settings"]
            raise click.ClickException(
                f"{unusable(settings.database_url, error)} To find the cause, run "
                f"{settings.command('doctor')}."
            ) from None

    command.callback = frozen_at
    return command


def unusable(url: str, error: DBAPIError) -> str:
    """That the database cannot be used, and why, without its password."""
    return f"The portal can’t use the database {shown(url)} ({trouble.words_of(error.orig)})."
