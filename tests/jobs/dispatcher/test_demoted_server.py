"""A PostgreSQL server that became a standby keeps its connections but takes no changes, so the
dispatcher drops them and connects to the current primary."""

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, delete, text

from jobs.dispatcher.database import DatabaseExecutor
from portal.database.engine import impatient_engine
from portal.extensions import db, settings
from portal.models.deliveries import Lease
from tests.support.processes import until

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _on_postgresql(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no standby")


def demote(engine: Engine) -> None:
    """Make the only connection read-only."""
    engine.dispose()
    with engine.connect() as connection:
        connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        connection.commit()


def test_a_dispatcher_recovers_from_a_read_only_connection(app: Flask) -> None:
    engine = impatient_engine(settings().database_url)
    writer = DatabaseExecutor(engine)
    demote(engine)

    def work(connection: Connection) -> bool:
        connection.execute(delete(Lease))
        return True

    assert writer.write(work) is None
    assert until(lambda: writer.write(work) is True, 5)
    engine.dispose()
