"""After kill -9, what was under way goes again in seconds, however long leases are."""

import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import monotonic

import pytest

from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.load import burst, has_received, within
from tests.faults.support.running_portal import SENDERS, WORKER, RunningPortal
from tests.support.processes import children_of, is_alive, until
from tests.support.receiver import Received, Receiver

# Leases of a minute and a half, as they are by default; a busy machine starts a worker in ten.
LEASE = {"WEBHOOK_TIMEOUT": "30", "LEASE_MARGIN": "60"}
PATIENCE = 30.0
AGAIN = 5.0  # seconds from a worker that is ready to the first request
DELAY = 3.0
# What a process has handed to the system is read after its death; no other one starts so quickly.
A_MOMENT = 0.5

pytestmark = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def portal_settings() -> dict[str, str]:
    return LEASE


def begin(receiver: Receiver) -> int:
    """Some deliveries are under way, to receivers that take three seconds, and some wait; how many
    there are."""
    accepted = burst(receiver, 12, webhooks=5, delay=DELAY)
    assert has_received(receiver, 20)
    return accepted


def ids(received: Iterable[Received]) -> list[str | None]:
    return [each.header("X-Asset-Webhook-Id") for each in received]


def assert_nothing_else_came_twice(receiver: Receiver, killed_at: float) -> None:
    """Than what was under way."""
    answered = {id(each) for each, _ in receiver.answered if each.at < killed_at - DELAY - 0.5}
    before = [each for each in receiver.received if each.at < killed_at + A_MOMENT]
    under_way = {*ids(each for each in before if id(each) not in answered)}
    counts = Counter(ids(receiver.received))
    assert {each for each in counts if counts[each] > 1} <= under_way
    assert max(counts.values()) <= 2


def test_what_a_killed_worker_was_sending_goes_again_at_once(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = begin(receiver)
    portal.kill(WORKER)
    killed_at = monotonic()
    receiver.answer(delay=0.01)
    with within(PATIENCE):
        assert settled(40)
    assert_ledger(receiver, accepted)
    assert_nothing_else_came_twice(receiver, killed_at)


def test_so_it_does_after_everything_was_killed_and_started_again(
    portal: RunningPortal, receiver: Receiver, tmp_path: Path
) -> None:
    accepted = begin(receiver)
    running = children_of(portal.process.pid)
    portal.process.stop(signal.SIGKILL)
    assert until(lambda: not any(map(is_alive, running)), 10)
    killed_at, sent = monotonic(), len(receiver.received)
    receiver.answer(delay=0.01)
    again = RunningPortal(tmp_path, portal.environment, SENDERS)
    try:
        with within(PATIENCE):
            assert again.process.says("Ready for deliveries.", PATIENCE)
            with within(AGAIN):
                receiver.wait_for(sent + 1, AGAIN)
            assert settled(40)
        assert_ledger(receiver, accepted)
        assert_nothing_else_came_twice(receiver, killed_at)
    finally:
        again.close()
