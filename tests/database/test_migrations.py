"""Migrations go up, down and up again, and refuse what they cannot take over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

from portal import commands
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.queue import notifier
from portal.services.core.unit_of_work import writing
from tests.conftest import ENVIRONMENT

pytestmark = pytest.mark.both_databases


@pytest.fixture(params=["sqlite", "postgres"])
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """An application on a database in which nothing has been made yet."""
    environment = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)}
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        environment["DATABASE_URL"] = server.new_database()
    app = create_base_app(load_settings(environment))
    notifier.init_app(app)
    commands.init_migrations(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def schema() -> dict[str, object]:
    """Every table with its columns, keys, indexes and triggers, as the database tells them."""
    db.session.remove()
    if db.engine.dialect.name == "sqlite":
        wanted = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    else:
        wanted = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    with db.engine.connect() as connection:
        found: dict[str, object] = {row[0]: row[1] for row in connection.execute(text(wanted))}
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            columns = inspector.get_columns(table)
            found[f"columns of {table}"] = sorted((c["name"], str(c["type"])) for c in columns)
        return found


def test_down_leaves_nothing_and_up_again_gives_the_same_schema(blank: Flask) -> None:
    upgrade()
    before = schema()
    downgrade(revision="base")
    db.session.remove()
    with db.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    upgrade()
    assert schema() == before


def test_a_database_from_before_the_release_is_left_as_it_is(
    blank: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with writing() as current:
        current.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        current.execute(text("INSERT INTO alembic_version VALUES ('0040')"))
    db.session.remove()
    before = schema()
    with pytest.raises(SystemExit):
        upgrade()
    assert "This database is older than the first release" in caplog.text
    assert schema() == before


def test_foreign_keys_are_on_again_after_a_migration(blank: Flask) -> None:
    upgrade()
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
