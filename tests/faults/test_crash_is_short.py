"""After kill -9, what was under way goes again in seconds, however long leases are."""

import signal
from pathlib import Path

import pytest

from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.load import burst, has_received, within
from tests.faults.support.running_portal import SENDERS, WORKER, RunningPortal
from tests.support.processes import children_of, is_alive, until
from tests.support.receiver import Receiver

# Leases of a minute and a half, as they are by default; a busy machine starts a worker in ten.
LEASE = {"WEBHOOK_TIMEOUT": "30", "LEASE_MARGIN": "60"}
PATIENCE = 30.0

pytestmark = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def portal_settings() -> dict[str, str]:
    return LEASE


def begin(receiver: Receiver) -> int:
    """Some deliveries are under way, to receivers that take three seconds; how many there are."""
    accepted = burst(receiver, 3, webhooks=10, delay=3)
    assert has_received(receiver, 20)
    return accepted


def test_what_a_killed_worker_was_sending_goes_again_at_once(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = begin(receiver)
    portal.kill(WORKER)
    receiver.answer(delay=0.01)
    with within(PATIENCE):
        assert settled(40)
    assert_ledger(receiver, accepted)
    assert len(receiver.received) <= 2 * accepted


def test_so_it_does_after_everything_was_killed_and_started_again(
    portal: RunningPortal, receiver: Receiver, tmp_path: Path
) -> None:
    accepted = begin(receiver)
    running = children_of(portal.process.pid)
    portal.process.stop(signal.SIGKILL)
    assert until(lambda: not any(map(is_alive, running)), 10)
    receiver.answer(delay=0.01)
    again = RunningPortal(tmp_path, portal.environment, SENDERS)
    try:
        with within(PATIENCE):
            assert again.starts(), again.process.output.read_text()
            assert settled(40)
        assert_ledger(receiver, accepted)
    finally:
        again.close()
