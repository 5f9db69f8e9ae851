"""Each cause of failing Saves is named within ten seconds in every place that reports faults."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, text

from tests.faults.support.database_locks import database_locked, hanging_without_locks
from tests.faults.support.running_portal import BACKGROUND, RunningPortal
from tests.faults.support.visitor import Visitor
from tests.faults.support.watch import Watch
from tests.support.processes import until

POSTGRES = pytest.mark.parametrize("running_portal", ["postgres"], indirect=True)
SQLITE = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@pytest.fixture
def visitor(portal: RunningPortal) -> Iterator[Visitor]:
    arrived = Visitor(portal)
    yield arrived
    arrived.close()


@pytest.fixture
def watch(portal: RunningPortal, visitor: Visitor) -> Watch:
    watching = Watch(portal, visitor)
    assert until(watching.is_well, 20), (watching.readyz(), watching.findings())
    return watching


@contextmanager
def everything_is_read_only(url: str) -> Iterator[None]:
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    begin = "ALTER SYSTEM SET default_transaction_read_only = on"
    end = "ALTER SYSTEM RESET default_transaction_read_only"
    try:
        with server.connect() as connection:
            connection.execute(text(begin))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield
    finally:
        with server.connect() as connection:
            connection.execute(text(end))
            connection.execute(text("SELECT pg_reload_conf()"))
        server.dispose()


@POSTGRES
def test_a_read_only_database_is_named(
    portal: RunningPortal, visitor: Visitor, watch: Watch
) -> None:
    draft = visitor.draft("Not yet")
    with everything_is_read_only(portal.settings.database_url):
        assert watch.all_name("database_read_only", "read-only") == []
        answer = visitor.send(draft)
        assert (answer.status_code, "This was not saved." in answer.text) == (503, True)
    assert until(watch.is_well, 15)
    assert visitor.is_saved(draft)


@POSTGRES
def test_a_forgotten_lock_is_named_with_its_holder(portal: RunningPortal, watch: Watch) -> None:
    other = create_engine(portal.settings.database_url)
    with other.connect() as connection, connection.begin() as transaction:
        connection.execute(text("LOCK TABLE webhooks IN SHARE MODE"))
        named = watch.all_name("database_locked", "could not obtain lock on relation")
        assert named == []
        assert until(lambda: "database_blocked" in watch.findings(), 10)
        for report in (watch.system(), watch.doctor()):
            assert "LOCK TABLE webhooks IN SHARE MODE" in report
            assert "pg_terminate_backend(" in report
        transaction.rollback()
    other.dispose()
    assert until(watch.is_well, 15)


@SQLITE
def test_a_program_that_writes_to_sqlite_is_named(portal: RunningPortal, watch: Watch) -> None:
    with database_locked(portal):
        assert watch.all_name("database_locked", "database is locked") == []
        output = watch.doctor()
        assert "A program is writing to the database while all others wait." in output
        assert f"process {os.getpid()}" in output
    assert until(watch.is_well, 15)


@SQLITE
def test_only_the_hanging_process_is_named(portal: RunningPortal, watch: Watch) -> None:
    # In the previous test, processes that waited for the database were silent, too.
    assert until(lambda: "process_silent" not in watch.findings(), 20)
    with hanging_without_locks(portal, BACKGROUND) as pid:
        assert until(lambda: f"(process {pid}) hasn’t reported for" in watch.system(), 25)
        assert "process_silent" in watch.findings()
        assert watch.readyz("pages")["ready"]
    assert until(lambda: "process_silent" not in watch.findings(), 15)
