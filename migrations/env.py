"""Run migrations on the portal's own engine, in one transaction each.

On SQLite, foreign keys are off while tables are rebuilt, because a rebuild would delete by cascade.
They are checked before the commit. The pragma only works outside of a transaction.
"""

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text

import portal.models  # noqa: F401 - registers every table
from portal.extensions import Base, db
from portal.services.operations.health import BEFORE_THE_RELEASE, is_before_the_release


def run_migrations() -> None:
    """Migrate the database to the requested revision, or print the SQL (offline)."""
    if context.is_offline_mode():
        context.configure(
            dialect_name=db.engine.dialect.name, target_metadata=Base.metadata, literal_binds=True
        )
        with context.begin_transaction():
            context.run_migrations()
        return
    with db.engine.connect().execution_options(writing=True) as connection:
        on_sqlite = connection.dialect.name == "sqlite"
        if on_sqlite:
            _set_foreign_keys(connection, on=False)
        else:
            # Long rebuilds are fine here. The portal's own limits are for requests.
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET lock_timeout = '30s'"))
            connection.commit()
        try:
            _migrate(connection, on_sqlite=on_sqlite)
        finally:
            if on_sqlite:
                _set_foreign_keys(connection, on=True)


def _migrate(connection: Connection, *, on_sqlite: bool) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transactional_ddl=True,
        render_as_batch=on_sqlite,
    )
    with context.begin_transaction():
        if not on_sqlite:
            # Two machines that start at the same time migrate one after the other.
            connection.execute(text("SELECT pg_advisory_xact_lock(7226154001)"))
        if is_before_the_release(context.get_context().get_current_revision()):
            raise CommandError(BEFORE_THE_RELEASE)
        context.run_migrations()
        if on_sqlite:
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if orphans:
                raise RuntimeError(f"The migration left rows without their parents: {orphans[:5]}")


def _set_foreign_keys(connection: Connection, *, on: bool) -> None:
    raw = connection.connection.driver_connection
    assert raw is not None  # noqa: S101 - the pool has just handed it out
    raw.execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")


run_migrations()
