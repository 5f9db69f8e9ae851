"""The sweep: it looks every few seconds, so what hinders one look is no failure."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from jobs.sweep import sweep
from portal.database import impatient_engine
from portal.extensions import db, settings
from portal.services import processes


@pytest.fixture
def locked(app: Flask) -> Iterator[None]:
    """Somebody writes for longer than anybody waits, which is not long here."""
    is_postgres = db.engine.dialect.name == "postgresql"
    shorter = "SET lock_timeout = '50ms'" if is_postgres else "PRAGMA busy_timeout=50"
    with db.engine.connect() as connection:
        connection.execute(text(shorter))
        connection.commit()
    other = impatient_engine(settings().database_url)
    with other.connect().execution_options(writing=True) as writer, writer.begin():
        if is_postgres:
            writer.execute(text("LOCK TABLE processes IN EXCLUSIVE MODE"))
        yield
    other.dispose()
    db.session.remove()
    db.engine.dispose()


def test_it_leaves_a_busy_database_to_the_next_look(
    locked: None, caplog: pytest.LogCaptureFixture
) -> None:
    sweep()
    assert "the next look" in caplog.text
    db.session.remove()
    assert processes.age(processes.SWEEP) is None


def test_it_leaves_a_sign_of_life(app: Flask) -> None:
    sweep()
    assert processes.age(processes.SWEEP) is not None
