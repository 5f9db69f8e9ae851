"""What every test stands on: a real database of each kind, a real Valkey, the real application."""

import base64
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from jobs.stop_flag import stop
from portal.app import create_app
from portal.base_app import create_base_app
from portal.commands import migrations
from portal.config.settings import Settings, load_settings
from portal.extensions import Base, db
from tests.support.golden.expected_file import Golden
from tests.support.servers import PostgresServer, ValkeyServer

# The portal brings its own SQLite: a second one on the same file would lose the locks of the first.
sys.modules["sqlite3"] = None  # type: ignore[assignment]  # whoever imports it now fails

ENVIRONMENT = {
    "SECRET_KEY": "a key that only these tests know",
    "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"k" * 32).decode(),
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "WEBHOOK_TIMEOUT": "2",
    "LEASE_MARGIN": "3",
    "SWEEP_SECONDS": "1",
    "TIMEZONE": "Europe/Vienna",
    # Nothing listens here: a test that starts the portal itself says where.
    "PORT": "9",
}
DATABASES = ["sqlite", "postgres"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make golden` gives it."""
    parser.addoption("--renew-golden", action="store_true", help="write the expected files anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares with the expected files, or writes them."""
    return Golden(request.config.getoption("--renew-golden"))


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Valkey for the session, on a socket, without a port."""
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for the session, on a socket."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session", params=DATABASES)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Everything that touches the database runs on both."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def empty_database(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of a migrated, empty database."""
    if database_kind == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/portal.sqlite"
    else:
        url = request.getfixturevalue("postgres_server").new_database()
    migrate_to_head(url, tmp_path_factory.mktemp("instance"))
    if database_kind == "sqlite":
        path = Path(make_url(url).database or "")
        shutil.copy(path, path.with_suffix(".empty"))
    return url


def migrate_to_head(url: str, instance_dir: Path) -> None:
    """Run all migrations, and leave no connection behind."""
    environment = {**ENVIRONMENT, "DATABASE_URL": url, "INSTANCE_DIR": str(instance_dir)}
    app = create_base_app(load_settings(environment))
    migrations.init_app(app)
    with app.app_context():
        upgrade()
        checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"
        if db.engine.dialect.name == "sqlite":
            with db.engine.connect() as connection:
                connection.exec_driver_sql(checkpoint)
        db.engine.dispose()


@pytest.fixture(scope="session")
def session_settings(
    empty_database: str, valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """The settings that all tests on one database share."""
    return load_settings(
        {
            **ENVIRONMENT,
            "DATABASE_URL": empty_database,
            "REDIS_URL": valkey_server.url,
            "INSTANCE_DIR": str(tmp_path_factory.mktemp("instance")),
        }
    )


@pytest.fixture(scope="session")
def session_app(session_settings: Settings) -> Iterator[Flask]:
    """The application, built once for each database."""
    app = create_app(session_settings)
    app.testing = True
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(session_app: Flask, valkey_server: ValkeyServer) -> Iterator[Flask]:
    """The application on an empty database and an empty Valkey, in an application context."""
    valkey_server.client().flushall()
    with session_app.app_context():
        empty_out()
        yield session_app
        put_equipment_away(session_app)
        db.session.remove()
        db.engine.dispose()


def put_equipment_away(app: Flask) -> None:
    """Connections and sockets of one test's pump do not live on into the next."""
    stop.clear()
    equipment = app.extensions.pop("equipment", None)
    if equipment is not None:
        equipment.transport.close()
        equipment.engine.dispose()


def empty_out() -> None:
    """Bring the database back to what the migrations left."""
    url = db.engine.url
    db.engine.dispose()
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(path.with_suffix(".empty"), path)
        return
    tables = ", ".join(Base.metadata.tables)
    engine = create_engine(url)
    with engine.begin() as connection:
        # The audit trail refuses to be emptied; a superuser's session may say so.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    engine.dispose()
