"""Shared fixtures: a real database of each kind, a real Valkey, and the real application.

A test that takes `app` runs on SQLite. A test of database behavior (locks, SQL that differs, JSON,
dates, paging, search, migrations, claims) sets `pytestmark = pytest.mark.both_databases` and runs
on PostgreSQL too, as all tests do with `--all-databases`.
"""

import base64
import gc
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.remote import Producer
from xdist.scheduler.protocol import Scheduling

from jobs.stop_flag import stop
from portal import commands
from portal.app import create_app
from portal.base_app import create_base_app
from portal.config.settings import Settings, load_settings
from portal.database.trouble import observed
from portal.extensions import db
from portal.lib import clock
from portal.services.core import heartbeats
from portal.services.operations import backups
from portal.services.people import passwords
from portal.services.people.passwords import HASHER, NOBODYS_HASH
from tests.distribution import TogetherScheduling, place
from tests.support.database.empty_database import empty_out, fill_gaps, keep_empty_copy, leave
from tests.support.database.memory_folder import memory_folder
from tests.support.factories import CHEAP, cheap_hash
from tests.support.golden.expected_file import Golden
from tests.support.lint.template_values import Absent
from tests.support.servers import PostgresServer, ValkeyServer

# A page prints nothing for a value missing from its template. In tests, that is an error.
Flask.jinja_options = {"undefined": Absent}

# On a busy machine, the time that an example takes says nothing.
hypothesis_settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("patient")

# The portal has its own SQLite. A second one on the same file would lose the locks of the first.
sys.modules["sqlite3"] = None  # type: ignore[assignment]  # importing it now fails

ENVIRONMENT = {
    "SECRET_KEY": "a key that only these tests know",
    "ENCRYPTION_KEYS": base64.urlsafe_b64encode(b"32 letters that only tests know.").decode(),
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "WEBHOOK_TIMEOUT": "2",
    "LEASE_MARGIN": "3",
    "MAINTENANCE_SECONDS": "1",
    "TIMEZONE": "Europe/Vienna",
    # Nothing listens here. A test that starts the portal sets its own port.
    "PORT": "9",
}
DATABASES = ["sqlite", "postgres"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that `make golden` and `make test-all` pass."""
    parser.addoption("--renew-golden", action="store_true", help="write the expected files anew")
    parser.addoption("--all-databases", action="store_true", help="run each test on PostgreSQL too")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare with the expected files, or write them."""
    return Golden(request.config.getoption("--renew-golden"))


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """Run one Valkey for the session, on a socket, without a port."""
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Run one PostgreSQL for the session, on a socket."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of database that `pytest_generate_tests` chose for this test."""
    kind: str = request.param
    return kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the databases of each test that touches one."""
    if "database_kind" in metafunc.fixturenames:
        is_marked = metafunc.definition.get_closest_marker("both_databases") is not None
        is_on_both = is_marked or metafunc.config.getoption("--all-databases")
        kinds = DATABASES if is_on_both else DATABASES[:1]
        metafunc.parametrize("database_kind", kinds, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files, so that no process ends with one alone."""
    root = Path(__file__).parent
    items.sort(key=lambda item: place(item.path.relative_to(root).as_posix()))


def pytest_collection() -> None:
    """Turn off garbage collection, which would scan thousands of tests while they are imported."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Freeze the collected tests, because they live as long as the process."""
    gc.enable()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Return the scheduler for `--dist loadfile`."""
    return TogetherScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def migrate_to_head(url: str, instance_dir: Path) -> None:
    """Run all migrations, and leave no connection open."""
    environment = {**ENVIRONMENT, "DATABASE_URL": url, "INSTANCE_DIR": str(instance_dir)}
    app = create_base_app(load_settings(environment))
    commands.init_migrations(app)
    with app.app_context():
        upgrade()
        checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"
        if db.engine.dialect.name == "sqlite":
            with db.engine.connect() as connection:
                connection.exec_driver_sql(checkpoint)
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_app(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """Build the application on SQLite once."""
    with memory_folder("sqlite") as folder:
        url = f"sqlite:///{folder}/portal.sqlite"
        with running_app(url, valkey_server.url, tmp_path_factory.mktemp("instance")) as app:
            keep_empty_copy(url)
            yield app


@pytest.fixture(scope="session")
def postgres_app(
    postgres_server: PostgresServer,
    valkey_server: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Flask]:
    """Build the application on PostgreSQL once."""
    url = postgres_server.new_database()
    with running_app(url, valkey_server.url, tmp_path_factory.mktemp("instance")) as app:
        yield app
        with app.app_context():
            leave(db.engine)


@contextmanager
def running_app(database_url: str, redis_url: str, instance_dir: Path) -> Iterator[Flask]:
    """Yield an application on a fully migrated database."""
    migrate_to_head(database_url, instance_dir)
    places = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    app = create_app(load_settings({**ENVIRONMENT, **places, "INSTANCE_DIR": str(instance_dir)}))
    app.testing = True
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="session")
def session_app(database_kind: str, request: pytest.FixtureRequest) -> Flask:
    """Return the application on this database. It survives a switch to the other and back."""
    app: Flask = request.getfixturevalue(f"{database_kind}_app")
    return app


@pytest.fixture(scope="session")
def session_settings(session_app: Flask) -> Settings:
    """Return the settings that all tests on one database share."""
    shared: Settings = session_app.extensions["settings"]
    return shared


@pytest.fixture
def app(
    session_app: Flask, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """Yield the application in a context, with an empty database, an empty Valkey, and no backups.

    No sender process runs. `deliver_due` sends in this process, and ends when nothing is due.
    Hashing a password costs next to nothing. A test of its cost takes `usual_hashing` too.
    """
    monkeypatch.setattr(passwords, "HASHER", CHEAP)
    monkeypatch.setattr(passwords, "NOBODYS_HASH", cheap_hash("of nobody"))
    valkey_server.empty_out()
    heartbeats.take_notes()
    observed.trouble = None
    clock.note_skew(clock.utcnow())  # an earlier test may have noted another time
    with session_app.app_context():
        empty_out(db.engine)
        shutil.rmtree(backups.folder(), ignore_errors=True)
        yield session_app
        put_equipment_away(session_app)
        db.session.remove()


@pytest.fixture
def no_gaps(app: Flask) -> None:
    """Truncate all tables, for tests of a query plan that a few dead rows would change."""
    fill_gaps(db.engine)


@pytest.fixture
def usual_hashing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as in production."""
    monkeypatch.setattr(passwords, "HASHER", HASHER)
    monkeypatch.setattr(passwords, "NOBODYS_HASH", NOBODYS_HASH)


def put_equipment_away(app: Flask) -> None:
    """Close the connections and sockets of this test's dispatcher before the next test."""
    stop.clear()
    equipment = app.extensions.pop("equipment", None)
    if equipment is not None:
        equipment.transport.close()
        equipment.engine.dispose()
        equipment.connectivity.close()
