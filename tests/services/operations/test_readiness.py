"""A heartbeat finds trouble that a save would meet, stores it in its row, and clears it later."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from portal.database.engine import (
    brief_engine,
    engine_options,
    impatient_engine,
    prepare_engine,
)
from portal.database.trouble import Kind, Trouble, observed, of_error
from portal.extensions import db, settings
from portal.models.operations import Process
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import session
from portal.services.operations import readiness as readiness_module
from portal.services.operations.health import read_facts
from portal.services.operations.readiness import (
    DatabaseCheck,
    HealthSnapshot,
    Readiness,
    examine,
)
from tests.support.database.statements import asked
from tests.support.factories import make_asset
from tests.support.processes import until

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]
KIND = heartbeats.WEB


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = brief_engine(settings().database_url)
    yield made
    made.dispose()


@contextmanager
def somebody_else() -> Iterator[Connection]:
    """Open a writing transaction on a connection of its own."""
    other = create_engine(settings().database_url, **engine_options(settings().database_url))
    prepare_engine(other)
    try:
        with other.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin() as transaction:
                yield writer
                transaction.rollback()
    finally:
        other.dispose()


def on(dialect: str) -> None:
    if db.engine.dialect.name != dialect:
        pytest.skip(f"for {dialect}")


def own_row() -> Process:
    session().rollback()
    return session().query(Process).filter_by(name=heartbeats.own_name(KIND)).one()


def test_a_heartbeat_is_written_with_the_clock_skew(engine: Engine) -> None:
    assert DatabaseCheck(engine, KIND).sign(["noticed"]) is None
    assert own_row().trouble is None
    assert abs(own_row().skew) < 2
    assert heartbeats.age("noticed") is not None


def test_the_next_heartbeat_reports_a_cut_connection(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "is_cut", True)
    assert DatabaseCheck(engine, KIND).sign() is None
    assert heartbeats.age(heartbeats.CUT) is not None
    assert not observed.is_cut


@pytest.mark.parametrize("table", ["events", "deliveries", "webhooks"])
def test_a_lock_that_blocks_saves_is_stored_in_the_row_at_once(engine: Engine, table: str) -> None:
    on("postgresql")
    check = DatabaseCheck(engine, KIND)
    with somebody_else() as other:
        other.execute(text(f"LOCK TABLE {table} IN SHARE MODE"))
        trouble = check.sign()
        assert trouble == Trouble(Kind.LOCKED, f'could not obtain lock on relation "{table}"')
        assert own_row().trouble == f'locked: could not obtain lock on relation "{table}"'
        assert examine(engine) == trouble
    assert check.sign() is None
    assert own_row().trouble is None


def test_a_heartbeat_checks_for_disk_space_once_a_minute(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    on("postgresql")
    clock, seen = Clock(), []
    monkeypatch.setattr(readiness_module, "monotonic", clock)
    check = DatabaseCheck(engine, KIND)
    with asked(engine, "CREATE TEMP TABLE") as tries:
        for later in (0, 59.9, 0.2, 59.9, 0.2):
            clock.now += later
            assert check.sign() is None
            seen.append(len(tries))
    assert seen == [1, 1, 2, 2, 3]


def test_a_read_only_database_is_reported_in_the_drivers_words(engine: Engine) -> None:
    on("postgresql")
    name = session().execute(text("SELECT current_database()")).scalar_one()
    server = create_engine(settings().database_url, isolation_level="AUTOCOMMIT")
    change = text(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with server.connect() as connection:
        connection.execute(change)
    try:
        found = DatabaseCheck(engine, KIND).sign()
        assert found is not None
        assert found.kind is Kind.READ_ONLY
        assert "read-only transaction" in found.reason
        engine.dispose()
        told = examine(engine)
        assert told is not None
        assert told.kind is Kind.READ_ONLY
    finally:
        with server.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        server.dispose()
        engine.dispose()
    assert DatabaseCheck(engine, KIND).sign() is None


def test_a_writer_of_sqlite_is_named_by_its_pid_and_command(engine: Engine, tmp_path: Path) -> None:
    on("sqlite")
    make_asset()
    path = settings().database_url.removeprefix("sqlite:///")
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('has it', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, path]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "has it\n"
        unnoticed, examined = read_facts(), read_facts(examines=True)
        trouble = DatabaseCheck(engine, KIND).sign()
        facts = read_facts()
        writer.communicate()
    assert trouble == Trouble(Kind.LOCKED, "database is locked")
    assert [report.trouble for report in (unnoticed, examined, facts)] == [None, trouble, trouble]
    assert unnoticed.blockers == ()
    assert examined.blockers == facts.blockers
    (blocker,) = facts.blockers
    assert blocker.pid == writer.pid
    assert "sqlite3" in blocker.doing
    assert DatabaseCheck(engine, KIND).sign() is None


def test_a_forgotten_transaction_is_named_with_user_and_query() -> None:
    on("postgresql")
    make_asset()
    with somebody_else() as other:
        other.execute(text("SELECT id FROM assets WHERE name = 'token=hush' FOR UPDATE"))
        other.execute(
            text("SELECT pg_sleep(0), 'password=hush' AS said, id FROM assets FOR UPDATE")
        )
        number = other.execute(text("SELECT pg_backend_pid() FROM assets FOR UPDATE")).scalar_one()
        assert read_facts().blockers == []
        assert until(lambda: bool(read_facts().blockers), 15)
        (blocker,) = read_facts().blockers
    assert blocker.pid == number
    assert "FROM assets FOR UPDATE" in blocker.doing
    assert "postgres" in blocker.who
    assert blocker.seconds is not None
    assert 9 < blocker.seconds < 20


def test_a_full_database_is_known_until_a_heartbeat_finds_space(engine: Engine) -> None:
    refused = {
        "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$",
        "sqlite": "PRAGMA max_page_count = 1",
    }
    dialect = db.engine.dialect.name
    with suppress(DBAPIError), db.engine.connect() as connection:
        connection.execute(text(refused[dialect]))
        if dialect == "sqlite":
            connection.execute(text("CREATE TABLE filled AS SELECT zeroblob(9000000)"))
    trouble = observed.trouble
    db.engine.dispose()
    assert trouble is not None
    assert trouble.kind is Kind.FULL
    assert DatabaseCheck(engine, KIND).sign() is None
    assert own_row().trouble == str(trouble)  # it was written before the check for space
    assert observed.trouble is None


def test_a_lock_of_100_ms_is_not_reported(app: Flask) -> None:
    """Cover the dispatcher, which gives up waiting for locks all the time."""
    impatient = impatient_engine(app.extensions["settings"].database_url)
    with somebody_else() as other:
        if db.engine.dialect.name == "postgresql":
            other.execute(text("LOCK TABLE deliveries IN EXCLUSIVE MODE"))
        with pytest.raises(DBAPIError) as refused:
            delete_all(impatient)
    impatient.dispose()
    trouble = of_error(refused.value.orig)
    assert trouble is not None
    assert trouble.kind is Kind.LOCKED
    assert observed.trouble is None


def delete_all(engine: Engine) -> None:
    with engine.connect() as connection:
        writer = connection.execution_options(writing=True)
        writer.execute(text("DELETE FROM deliveries"))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def beating(clock: Clock) -> Readiness:
    readiness = Readiness(clock)
    readiness.begin()
    readiness.note(None)
    readiness.snapshot = HealthSnapshot(has_tables=True)
    return readiness


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.READ_ONLY, Kind.DISK])
def test_lasting_trouble_is_reported_at_once(app: Flask, kind: Kind) -> None:
    del app
    readiness = beating(Clock())
    observed.trouble = Trouble(kind, "no")
    assert readiness.read().database == f"{kind}: no"


def test_a_read_only_file_is_reported() -> None:
    """Run as another user than root, because root can write to every file."""
    on("sqlite")
    folder = Path(tempfile.mkdtemp())
    path = folder / "portal.sqlite"
    shutil.copy(settings().database_url.removeprefix("sqlite:///"), path)
    path.chmod(0o444)
    me, nobody = os.geteuid(), pwd.getpwnam("nobody").pw_uid
    shutil.chown(folder, nobody if me == 0 else me)
    engine = brief_engine(f"sqlite:///{path}")
    os.seteuid(nobody if me == 0 else me)
    try:
        trouble = DatabaseCheck(engine, KIND).sign()
    finally:
        os.seteuid(me)
        engine.dispose()
        shutil.rmtree(folder)
    assert trouble == Trouble(Kind.READ_ONLY, "attempt to write a readonly database")


def test_deregistering_releases_the_database(engine: Engine, tmp_path: Path) -> None:
    check = DatabaseCheck(engine, KIND)
    assert check.sign() is None
    check.deregister()
    assert heartbeats.processes() == []
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedin() == 0
    away = brief_engine(f"sqlite:///{tmp_path}/away/portal")
    DatabaseCheck(away, KIND).deregister()  # the database is out of reach
