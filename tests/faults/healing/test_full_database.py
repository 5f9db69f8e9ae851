"""A PostgreSQL without room is named within ten seconds of the first Save that it refuses."""

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
# A server that writes something for each connection, as those that keep an account of them.
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
            # Between two beats it may have stored something in what was left.
            assert until(lambda: not watch.readyz()["ready"], 15)
        assert visitor.insist(draft)
        assert until(watch.is_well, 15)
        visitor.close()
        db.session.remove()
        db.engine.dispose()


@pytest.mark.netns(disks={str(DISK): 100})
def test_a_full_disk_that_lets_nobody_connect_is_named_and_the_address_is_not_doubted(
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
            said = app.test_cli_runner().invoke(args=["doctor", "--quiet"]).output
        assert "FATAL" in said
        assert "No space left on device" in said
        assert said.count("DANGER") == said.count("the database has no space left") == 1
        assert "DATABASE_URL" not in said
