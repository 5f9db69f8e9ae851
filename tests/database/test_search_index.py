"""Tests that search indexes follow their rows, and that searches work without the indexes."""

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import create_engine, make_url, text

from portal import commands
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.models.assets import Asset
from portal.models.assignments import Staff
from portal.queue import notifier
from portal.services.assets.queries import AssetFilter, list_assets
from portal.services.core.unit_of_work import session, writing
from tests.conftest import ENVIRONMENT
from tests.support.factories import make_asset, make_staff
from tests.support.servers import PostgresServer

pytestmark = pytest.mark.both_databases

INDEXES = "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'ix_%_words' ORDER BY 1"
EXTENSION = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'"


def found(search: str) -> list[int]:
    session().rollback()
    return [row.id for row in list_assets(AssetFilter(search=search)).rows]


def run(*statements: str) -> None:
    with writing() as current:
        for statement in statements:
            current.execute(text(statement))


def test_rows_written_without_the_portal_are_found_and_old_values_are_not(app: Flask) -> None:
    lamp, chair = make_asset("Lamp"), make_asset("Chair", serial_number="SN-77")
    run(
        f"UPDATE assets SET name = 'Floodlight' WHERE id = {lamp}",  # noqa: S608 - our own number
        f"UPDATE assets SET serial_number = NULL WHERE id = {chair}",  # noqa: S608
        f"INSERT INTO staff (public_id, name, email, is_active, version, created_at)"  # noqa: S608
        f" VALUES ('{uuid4().hex}', 'Zoe Winter', 'zoe@example.com', {_true()}, 1,"
        f" (SELECT created_at FROM assets WHERE id = {lamp}))",
    )
    assert found("floodl") == [lamp]
    assert found("Lamp") == []
    assert found("sn-77") == []
    run(
        f"INSERT INTO assignments (asset_id, staff_id, kind, started_at, condition_out, purpose,"  # noqa: S608
        f" notes) SELECT {chair}, id, 'allocation', created_at, 'good', '', '' FROM staff"
    )
    assert found("winter") == [chair]
    run("UPDATE staff SET name = 'Zoe Sommer'")
    assert (found("winter"), found("sommer")) == ([], [chair])


def test_removed_rows_leave_the_index(app: Flask) -> None:
    lamp = make_asset("Lamp")
    with writing() as current:
        current.add(Asset(asset_tag="T-1", name="Floodlight"))
        current.add(Staff(name="Zoe", email="zoe@example.com"))
    run("DELETE FROM assets WHERE name = 'Floodlight'", "DELETE FROM staff")
    assert (found("floodlight"), found("lamp")) == ([], [lamp])
    if db.engine.dialect.name == "sqlite":
        for table in ("asset_words", "staff_words"):
            run(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 0)")  # noqa: S608


def _true() -> str:
    return "1" if db.engine.dialect.name == "sqlite" else "true"


def application(url: str, tmp_path: Path) -> Flask:
    environment = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), "DATABASE_URL": url}
    app = create_base_app(load_settings(environment))
    notifier.init_app(app)
    commands.init_migrations(app)
    return app


@pytest.fixture
def plain_role(postgres_server: PostgresServer) -> Iterator[tuple[str, str]]:
    """Yield a database's URLs for its superuser and for a role that can only create tables."""
    owner = postgres_server.new_database()
    role = f"plain_{uuid4().hex[:8]}"
    engine = create_engine(owner, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}"))
        yield owner, make_url(owner).set(username=role).render_as_string(hide_password=False)
    engine.dispose()


def as_superuser(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_role_that_cannot_create_the_extension_can_migrate_and_search(
    plain_role: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with application(plain_role[1], tmp_path).app_context():
        with caplog.at_level(logging.WARNING):
            upgrade()
        assert [line for line in caplog.messages if "pg_trgm cannot be used (permission" in line]
        with db.engine.connect() as connection:
            assert connection.execute(text(INDEXES)).all() == []
            assert connection.execute(text(EXTENSION)).scalar_one() == 0
        lamp = make_asset("Lamp", serial_number="SN-1234-X")
        make_staff()
        assert (found("234-x"), found("LAM"), found("chair")) == ([lamp], [lamp], [])
        db.session.remove()
        downgrade(revision="base")
        upgrade()
        db.session.remove()
        db.engine.dispose()


def test_an_extension_in_another_schema_is_used(
    plain_role: tuple[str, str], tmp_path: Path
) -> None:
    owner, plain = plain_role
    role = make_url(plain).username
    as_superuser(owner, "CREATE SCHEMA extras", "CREATE EXTENSION pg_trgm SCHEMA extras")
    with application(plain, tmp_path).app_context():
        upgrade()
        with db.engine.connect() as connection:
            assert connection.execute(text(INDEXES)).all() == []
        db.session.remove()
        downgrade(revision="base")
        as_superuser(owner, f"GRANT USAGE ON SCHEMA extras TO {role}")
        upgrade()
        with db.engine.connect() as connection:
            rows = connection.execute(text(INDEXES)).scalars().all()
        assert rows == ["ix_asset_words", "ix_staff_words"]
        lamp = make_asset("Lamp")
        assert found("lam") == [lamp]
        db.session.remove()
        db.engine.dispose()
