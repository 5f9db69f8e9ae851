"""A full disk leaves nothing half-written, the page names it, and free space is the only cure
needed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from portal.extensions import db
from portal.models.assets import Asset
from portal.models.deliveries import Delivery, Event
from tests.faults.conftest import new_portal
from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.filled_disk import filled
from tests.faults.support.load import burst, has_received, look_again
from tests.faults.support.visitor import Visitor
from tests.support.receiver import Receiver

DISK = Path("/mnt")


@contextmanager
def no_room_left() -> Iterator[None]:
    """Fill the disk to the last byte."""
    look_again()
    with db.engine.connect() as connection:  # or the WAL would reuse its own space
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    with filled(DISK):
        yield


def counts() -> list[int]:
    look_again()
    tables = (Asset, Event, Delivery)
    return [db.session.execute(select(func.count(table.id))).scalar_one() for table in tables]


@pytest.mark.netns(disks={str(DISK): 8})
def test_a_full_disk_loses_nothing_and_is_named_on_the_page(tmp_path: Path) -> None:
    places = {"INSTANCE_DIR": str(DISK / "instance")}
    with new_portal(tmp_path, places) as portal, portal.app.app_context(), Receiver() as receiver:
        visitor = Visitor(portal)
        draft = visitor.draft("Too much")
        accepted = burst(receiver, 60, delay=0.3)
        assert has_received(receiver)
        with no_room_left():
            before = counts()
            answer = visitor.send(draft)
            assert answer.status_code == 503
            assert "This was not saved." in answer.text
            time.sleep(1)
            assert counts() == before
        assert visitor.insist(draft)
        visitor.close()
        assert settled(20)
        assert_ledger(receiver, accepted + 1)
        db.session.remove()
        db.engine.dispose()
