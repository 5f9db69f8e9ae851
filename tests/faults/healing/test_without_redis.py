"""Deliveries go within a second, tasks start, and processes end gracefully and restart, whatever
happens to Redis."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic, sleep
from uuid import UUID

import pytest
from redis import Redis

from portal.engine.events.catalogue import EventName
from portal.extensions import db
from portal.services import tasks
from portal.services.core import heartbeats
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.conftest import DATABASES
from tests.faults.conftest import new_portal
from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.durations import IS_FULL, REDIS_AWAY
from tests.faults.support.load import look_again
from tests.faults.support.running_portal import BACKGROUND, WORKER, RunningPortal
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook, publish
from tests.support.processes import is_alive, until
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer
from tests.support.valkey import PrivateValkey

SOON = 1.0  # seconds from a save to the request
# The limit for the few deliveries that a busy machine delays. Many tests run beside the short form.
LATE = 3.0 if IS_FULL else 8.0
ONE_OF = 10 if IS_FULL else 3
EVERY = 0.25
PARTS = ("deliveries", "background")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    """Yield a Valkey that no supervisor restarts."""
    server = PrivateValkey(tmp_path_factory.mktemp("v"))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def running_portal(
    request: pytest.FixtureRequest,
    valkey: PrivateValkey,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningPortal]:
    """Run only the workers, so nothing starts tasks on a schedule even with a healthy Redis."""
    places = {"REDIS_URL": valkey.url}
    if request.param == "postgres":
        places["DATABASE_URL"] = postgres_server.new_database()
    with new_portal(tmp_path_factory.mktemp("portal"), places, PARTS) as portal:
        yield portal


@contextmanager
def gone(valkey: PrivateValkey) -> Iterator[None]:
    valkey.kill()
    try:
        yield
    finally:
        valkey.start()


@contextmanager
def hanging(valkey: PrivateValkey) -> Iterator[None]:
    pid = int(valkey.client().info()["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def a_replica(valkey: PrivateValkey) -> Iterator[None]:
    redis = valkey.client()
    redis.replicaof("127.0.0.1", 9)
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")


@contextmanager
def without_memory(valkey: PrivateValkey) -> Iterator[None]:
    redis = valkey.client()
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", 0)


@contextmanager
def with_another_password(valkey: PrivateValkey) -> Iterator[None]:
    redis = valkey.client()
    redis.config_set("requirepass", "of somebody else")
    throw_out(redis)
    try:
        yield
    finally:
        redis.config_set("requirepass", "")


def throw_out(redis: Redis) -> None:
    """Close all client connections, because connected clients survive a password change."""
    for kind in ("normal", "pubsub"):
        redis.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


@contextmanager
def emptied(valkey: PrivateValkey) -> Iterator[None]:
    valkey.client().flushall()
    yield


FAULTS = (gone, hanging, a_replica, without_memory, with_another_password, emptied)
# The faults hardly depend on the database.
SHORT = {"sqlite": (gone, a_replica, with_another_password), "postgres": (hanging,)}
CASES = [
    pytest.param(database, fault, id=f"{database}-{fault.__name__}")
    for database in DATABASES
    for fault in (FAULTS if IS_FULL else SHORT[database])
]
Fault = Callable[[PrivateValkey], AbstractContextManager[None]]


def assert_sent_soon(receiver: Receiver, saves: int) -> None:
    """Assert that events published now arrive within a second."""
    delays = []
    for _ in range(saves):
        before = len(receiver.received)
        publish()
        saved = monotonic()
        received = receiver.wait_for(before + 1, 10)
        delays.append(received[before].at - saved)
        sleep(EVERY)
    slow = sorted(delays)[-1 - saves // ONE_OF :]
    assert slow[0] < SOON, delays
    assert slow[-1] < LATE, delays


def assert_ends_in_peace(portal: RunningPortal, words: str, name: str) -> None:
    """Send one SIGTERM and assert a clean exit. The supervisor starts a replacement, which has
    never seen Redis."""

    def counts() -> tuple[int, int]:
        output = portal.process.output.read_text()
        return output.count(f"{name} ended (code 0)"), output.count(f"Ready for {name}.")

    ended, ready = counts()
    pid = portal.kill(words, signal.SIGTERM)
    assert until(lambda: not is_alive(pid), 14.5), portal.process.output.read_text()
    assert until(lambda: counts() == (ended + 1, ready + 1)), portal.process.output.read_text()


def has_begun(task: UUID) -> bool:
    look_again()
    return tasks.find(task).started_at is not None


def assert_work_begins(portal: RunningPortal) -> None:
    """Assert that a bulk retry and an overdue periodic task start."""
    begin_periodic_task("alerts", 200)
    with Receiver() as other:
        failed = make_delivery(make_webhook(other.url, events=[EventName.LOST]), status="failed")
        batch = bulk_retry.start(make_user().actor, Selection(ticked=(failed,)))
        assert until(lambda: has_begun(batch), 20), portal.process.output.read_text()
        assert until(lambda: bool(other.received), 20), portal.process.output.read_text()

    def are_looked_for() -> bool:
        look_again()
        age = heartbeats.age("alerts")
        return age is not None and age < 60

    assert until(are_looked_for, 20)


@pytest.mark.parametrize(("running_portal", "fault"), CASES, indirect=["running_portal"])
def test_sending_and_tasks_continue_during_a_redis_fault(
    portal: RunningPortal, valkey: PrivateValkey, receiver: Receiver, fault: Fault
) -> None:
    make_webhook(receiver.url)
    saves = int(REDIS_AWAY / EVERY / 2)
    with fault(valkey):
        assert_sent_soon(receiver, saves)
        assert_work_begins(portal)
        assert_ends_in_peace(portal, WORKER, "deliveries")
        assert_ends_in_peace(portal, BACKGROUND, "background")
        assert_sent_soon(receiver, 3)
    assert_sent_soon(receiver, 3)
    assert settled(20)
    assert_ledger(receiver, saves + 6)


def test_a_portal_that_never_had_redis_sends(tmp_path: Path) -> None:
    """Nothing listens on the socket."""
    places = {"REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    with (
        new_portal(tmp_path, places, PARTS) as portal,
        portal.app.app_context(),
        Receiver() as receiver,
    ):
        make_webhook(receiver.url)
        assert_sent_soon(receiver, 3)
        assert_ends_in_peace(portal, WORKER, "deliveries")
        db.session.remove()
        db.engine.dispose()
