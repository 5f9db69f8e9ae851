"""A silently cut path to PostgreSQL delays a Save by at most 10 seconds and anything else by at
most 30. Firewalls that forget connections and unplugged cables cause such cuts."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from portal.database.engine import engine_options
from portal.extensions import db
from tests.faults.conftest import new_portal
from tests.faults.support.delivery_ledger import assert_ledger, given_up_on, settled
from tests.faults.support.durations import IS_FULL, PATIENCE, needs_tun
from tests.faults.support.load import burst, has_received
from tests.faults.support.lossy_wire import CLIENTS, FAR, NEAR, LossyWire, lossy_wire
from tests.faults.support.visitor import Draft, Visitor
from tests.faults.support.watch import Watch
from tests.support.database.memory_folder import memory_folder
from tests.support.database.own_postgres import own_postgres
from tests.support.factories import make_webhook
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.receiver import Receiver

log = logging.getLogger(__name__)

LONGEST = 30.0 * PATIENCE
SAVE_ENDS = 10.0 if IS_FULL else 13.0
CUT = 20.0  # seconds
WAYS = {
    "both": {"to_server": True, "to_client": True},
    "to_server": {"to_server": True},
    "to_client": {"to_client": True},
    "and_new_ones": {},
}
SHORT = ("both",)
pytestmark = needs_tun
each_way = pytest.mark.parametrize("way", WAYS if IS_FULL else SHORT)


@contextmanager
def far_database() -> Iterator[tuple[str, LossyWire]]:
    """Yield the URL of a database at the other end of a wire, and the wire."""
    port = free_port()
    with (
        memory_folder("wire") as folder,
        lossy_wire(port) as wire,
        own_postgres(folder, address=NEAR, port=port, clients=CLIENTS) as url,
    ):
        yield url.replace(NEAR, FAR), wire


def lose(wire: LossyWire, ways: dict[str, bool]) -> None:
    """Drop packets in these directions on established connections, or, if none is given, drop
    everything for a while."""
    if ways:
        assert wire.lose_established(**ways)
        return
    wire.is_cut = True
    threading.Timer(CUT, setattr, (wire, "is_cut", False)).start()


def save(visitor: Visitor, draft: Draft) -> list[float]:
    """Press Save until it succeeds, and return how long each response took. All others must say
    that it failed."""
    took: list[float] = []
    while sum(took) < LONGEST:
        began = monotonic()
        answer = visitor.send(draft)
        took.append(monotonic() - began)
        if answer.status_code == 302:
            return took
        assert "This was not saved." in answer.text
    pytest.fail(f"not saved: {took}")


@pytest.mark.netns
@each_way
def test_a_cut_path_is_named_and_delays_no_save_and_loses_no_result(
    tmp_path: Path, way: str
) -> None:
    """Requests are in flight during the cut. Each takes half the timeout."""
    with (
        far_database() as (url, wire),
        new_portal(tmp_path, {"DATABASE_URL": url}) as portal,
        portal.app.app_context(),
        Receiver() as receiver,
        ThreadPoolExecutor(1) as pool,
    ):
        make_webhook(receiver.url)
        visitor, other = Visitor(portal), Visitor(portal)
        watch = Watch(portal, other)
        assert visitor.insist(visitor.draft("Before"))
        draft = visitor.draft("After")
        receiver.wait_for(1)
        accepted = burst(receiver, 16, delay=1.0)
        assert has_received(receiver, 6)
        db.session.remove()
        db.engine.dispose()
        lose(wire, WAYS[way])
        began = monotonic()
        named = pool.submit(watch.all_name, "database_cut", "without notice", is_ready=True)
        took = save(visitor, draft)
        assert settled(LONGEST)
        recorded = monotonic() - began
        log.warning("saved after %s s, all recorded after %.1f s", took, recorded)
        assert max(took) < SAVE_ENDS
        # If new connections fail as well, the portal doesn't answer at all.
        assert named.result() == [] or not WAYS[way]
        visitor.close()
        other.close()
        # The first webhook also gets all other events.
        assert given_up_on(receiver) == 0
        assert_ledger(receiver, 2 * accepted + 3)
        assert len(receiver.received) == 2 * accepted + 3
        db.session.remove()
        db.engine.dispose()


def hold_the_row(url: str, locked: list[float], statement: str) -> None:
    """Lock the only row in a transaction that runs `statement`."""
    engine = create_engine(url, **engine_options(url))
    try:
        with engine.connect() as connection:
            connection.execute(text("UPDATE one SET a = a + 1"))
            locked.append(monotonic())
            connection.execute(text(statement))
    except DBAPIError:
        pass
    finally:
        engine.dispose()


@pytest.mark.netns
@pytest.mark.skipif(not IS_FULL, reason="waits for half a minute: FAULTS=full")
def test_postgresql_releases_the_locks_of_a_vanished_client() -> None:
    """The client is cut off in both directions while its one-minute transaction runs."""
    with far_database() as (url, wire):
        patient = "?options=-c%20statement_timeout%3D0"
        near = create_engine(url.replace(FAR, NEAR))
        with near.begin() as connection:
            connection.execute(text("CREATE TABLE one AS SELECT 1 AS a"))
        locked: list[float] = []
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(hold_the_row, url + patient, locked, "SELECT pg_sleep(60)")
            assert until(lambda: bool(locked))
            began = monotonic()
            assert wire.lose_established(to_server=True, to_client=True) == 1
            with near.begin() as connection:
                connection.execute(text("UPDATE one SET a = 0"))
            assert monotonic() - began < LONGEST
            held.result(timeout=LONGEST)
            assert monotonic() - began < LONGEST
        near.dispose()
