"""A silent sender delays its deliveries by at most 20 seconds, however long its leases are. A
silent database causes no repeated request."""

import logging
from collections import Counter
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

import pytest

from portal.services.core.heartbeats import BROKEN_AFTER, SILENT_AFTER
from tests.faults.support.delivery_ledger import Excuses, assert_ledger, given_up_on, settled
from tests.faults.support.durations import IS_FULL, PATIENCE
from tests.faults.support.load import burst, has_received, look_again
from tests.faults.support.machines import are_steady, have_pumped, two_machines
from tests.faults.support.running_portal import WORKER, RunningPortal
from tests.support.factories import publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer

log = logging.getLogger(__name__)

# The defaults.
LEASE = {"WEBHOOK_TIMEOUT": "30", "LEASE_MARGIN": "60", "WORKER_MAX_IN_FLIGHT": "64"}
GONE_WITHIN = 20.0 * PATIENCE
AWAY = 30.0
WEBHOOKS = 6

pytestmark = pytest.mark.timeout(240)


def repeats(receiver: Receiver) -> Counter[int]:
    """Count deliveries by their number of requests."""
    arrivals = Counter(request.header("X-Asset-Webhook-Id") for request in receiver.received)
    return Counter(arrivals.values())


def both_send(machines: tuple[RunningPortal, RunningPortal], receiver: Receiver) -> int:
    """Wait until both machines have sent something and are allowed to judge each other. Return the
    number of deliveries."""
    accepted = burst(receiver, 20, webhooks=WEBHOOKS, delay=0.2)

    def have() -> bool:
        nonlocal accepted
        publish()
        accepted += WEBHOOKS
        return have_pumped(*machines)

    assert until(have, 20)
    assert until(are_steady, 40)
    assert settled(20)
    return accepted


@pytest.mark.parametrize("seconds", [20.0, 90.0] if IS_FULL else [18.0])
def test_deliveries_of_a_sleeping_machine_go_soon_and_twice_at_most(
    tmp_path: Path, postgres_server: PostgresServer, seconds: float
) -> None:
    with (
        two_machines(tmp_path, postgres_server, LEASE) as machines,
        Receiver() as receiver,
    ):
        accepted = both_send(machines, receiver)
        before = len(receiver.received)
        receiver.answer(delay=1.0)
        for number in range(20):
            publish(asset_id=number + 1)
        accepted += 20 * WEBHOOKS
        assert has_received(receiver, before + 20)
        with machines[0].hanging(WORKER):
            asleep_at = monotonic()
            assert settled(GONE_WITHIN + 5)
            took = monotonic() - asleep_at
            log.warning("all of it had gone %.1f s later", took)
            assert took < GONE_WITHIN
            look_again()  # or our own transaction would stay open
            sleep(max(0.0, seconds - took))
        sleep(5)  # time to record late results
        assert settled(20)
        assert set(repeats(receiver)) <= {1, 2}
        stood_still = SILENT_AFTER - BROKEN_AFTER - timedelta(seconds=1)
        assert_ledger(receiver, accepted, Excuses(stands_still=stood_still))


@pytest.mark.skipif(not IS_FULL, reason="waits for a minute: FAULTS=full")
def test_a_database_outage_repeats_no_request(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with (
        two_machines(tmp_path, postgres_server, LEASE) as machines,
        Receiver() as receiver,
    ):
        accepted = both_send(machines, receiver)
        before = len(receiver.received)
        receiver.answer(delay=3.0)
        for number in range(5):
            publish(asset_id=number + 1)
        accepted += 5 * WEBHOOKS
        assert has_received(receiver, before + 5 * WEBHOOKS)
        with postgres_server.stopped("fast"):
            sleep(AWAY)
        assert settled(40)
        assert_ledger(receiver, accepted)
        assert len(receiver.received) == accepted + given_up_on(receiver)
