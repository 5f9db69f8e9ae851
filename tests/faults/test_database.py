"""A locked or restarted database loses no delivery."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.support.database_locks import database_locked
from tests.faults.support.delivery_ledger import assert_ledger, given_up_on, settled
from tests.faults.support.durations import DATABASE_LOCKED
from tests.faults.support.load import burst, has_received
from tests.faults.support.running_portal import RunningPortal
from tests.faults.support.visitor import Visitor
from tests.support.factories import make_webhook
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer

POSTGRES = pytest.mark.parametrize("running_portal", ["postgres"], indirect=True)


def test_deliveries_that_arrived_during_a_lock_are_not_sent_again(
    portal: RunningPortal, receiver: Receiver
) -> None:
    """Results in memory are written before the next claim, although the lock outlasts the
    leases."""
    assert portal.settings.lease_seconds < DATABASE_LOCKED
    accepted = burst(receiver, 10, webhooks=40, delay=1)
    assert has_received(receiver, 300)  # more than go into one transaction
    with database_locked(portal, DATABASE_LOCKED):
        pass
    assert settled(20)
    assert_ledger(receiver, accepted)
    assert len(receiver.received) == accepted + given_up_on(receiver)


def test_a_save_waits_for_a_locked_database_and_is_stored(
    portal: RunningPortal, receiver: Receiver
) -> None:
    make_webhook(receiver.url)
    visitor = Visitor(portal)
    draft = visitor.draft("Patient")
    with ThreadPoolExecutor(1) as pool:
        with database_locked(portal, DATABASE_LOCKED / 2):
            pressed = pool.submit(visitor.send, draft)
            assert not until(pressed.done, DATABASE_LOCKED / 4)
        assert pressed.result(timeout=10).status_code == 302
    visitor.close()
    assert settled(15)
    assert_ledger(receiver, 1)


@POSTGRES
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_postgresql_restart_during_a_burst_loses_nothing(
    portal: RunningPortal, receiver: Receiver, postgres_server: PostgresServer, mode: str
) -> None:
    """`immediate` is a crash, after which PostgreSQL recovers from its log."""
    accepted = burst(receiver, 60)
    visitor = Visitor(portal)
    draft = visitor.draft(f"Restarted, {mode}")
    assert has_received(receiver)
    with postgres_server.stopped(mode):
        answer = visitor.send(draft)
        assert answer.status_code == 503
        assert "This was not saved." in answer.text
    assert visitor.insist(draft)
    visitor.close()
    assert settled(20)
    assert_ledger(receiver, accepted + 1)
