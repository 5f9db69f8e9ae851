"""A PostgreSQL without room is named within ten seconds of the first Save that it refuses."""

from pathlib import Path

import pytest

from portal.extensions import db
from tests.faults.conftest import new_portal
from tests.faults.support.filled_disk import filled
from tests.faults.support.visitor import Visitor
from tests.faults.support.watch import Watch
from tests.support.database.own_postgres import own_postgres
from tests.support.processes import until

DISK = Path("/mnt")


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
