"""A PostgreSQL without disk space is named within ten seconds of the first refused Save."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from portal.app import create_app
from portal.config.settings import load_settings
from portal.extensions import db
from tests.conftest import ENVIRONMENT
from tests.faults.conftest import new_portal
from tests.faults.support.filled_disk import filled
from tests.faults.support.visitor import Visitor
from tests.faults.support.watch import Watch
from tests.support.database.own_postgres import own_postgres
from tests.support.processes import until

DISK = Path("/mnt")
# A server that writes for each connection, as audited servers do.
ACCOUNT = """
CREATE TABLE connections (words text);
CREATE FUNCTION enter() RETURNS event_trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO connections SELECT repeat('x', 99) FROM generate_series(1, 999); END $$;
CREATE EVENT TRIGGER entered ON login EXECUTE FUNCTION enter();
"""


@pytest.mark.netns(disks={str(DISK): 100})
def test_a_full_disk_of_postgresql_is_named(tmp_path: Path) -> None:
    with (
        own_postgres(DISK, has_log_elsewhere=True) as url,
        new_portal(tmp_path, {"DATABASE_URL": url}) as portal,
        portal.app.app_context(),
    ):
        visitor = Visitor(portal)
        watch = Watch(portal, visitor)
        assert until(watch.is_well, 20)
        draft = visitor.draft("Too much")
        db.session.remove()
        with filled(DISK):
            assert until(lambda: not visitor.is_saved(visitor.draft("More")), 20)
            assert watch.all_name("database_full", "No space left on device") == []
            # Between two heartbeats, the remaining space can still take a row.
            assert until(lambda: not watch.readyz()["ready"], 15)
        assert visitor.insist(draft)
        assert until(watch.is_well, 15)
        visitor.close()
        db.session.remove()
        db.engine.dispose()


@pytest.mark.netns(disks={str(DISK): 100})
def test_a_full_disk_that_blocks_connections_is_named_as_the_cause(
    tmp_path: Path,
) -> None:
    with own_postgres(DISK, has_log_elsewhere=True) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(ACCOUNT)
        engine.dispose()
        places = {"DATABASE_URL": url, "INSTANCE_DIR": str(tmp_path)}
        app = create_app(load_settings({**ENVIRONMENT, **places}))
        with filled(DISK):
            output = app.test_cli_runner().invoke(args=["doctor", "--quiet"]).output
        assert "FATAL" in output
        assert "No space left on device" in output
        assert output.count("DANGER") == output.count("the database has no space left") == 1
        assert "DATABASE_URL" not in output
