"""After kill -9, interrupted requests are sent again within seconds, however long leases are."""

import signal
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptOutcome, Delivery
from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.load import burst, has_received, within
from tests.faults.support.running_portal import SENDERS, WORKER, RunningPortal
from tests.support.processes import children_of, is_alive, until
from tests.support.receiver import Received, Receiver

# Leases of 90 seconds, the default. A busy machine needs ten seconds to start a worker.
LEASE = {"WEBHOOK_TIMEOUT": "30", "LEASE_MARGIN": "60"}
PATIENCE = 30.0
AGAIN = 5.0  # seconds from a worker that is ready to the first request
DELAY = 3.0

pytestmark = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def portal_settings() -> dict[str, str]:
    return LEASE


def begin(receiver: Receiver) -> int:
    """Start slow requests and leave other deliveries waiting. Return the number of deliveries."""
    accepted = burst(receiver, 12, webhooks=5, delay=DELAY)
    assert has_received(receiver, 20)
    return accepted


def ids(received: Iterable[Received]) -> list[str | None]:
    return [request.header("X-Asset-Webhook-Id") for request in received]


def assert_nothing_else_came_twice(receiver: Receiver, killed_at: float) -> None:
    """Assert that only requests in flight at the kill were repeated. They began before it and
    weren't answered long before it.

    The database decides, because a busy receiver reads requests late.
    """
    killed = utcnow() - timedelta(seconds=monotonic() - killed_at)
    begun = select(Delivery.public_id).join(Attempt, Attempt.delivery_id == Delivery.id)
    left = begun.where(Attempt.outcome == AttemptOutcome.INTERRUPTED, Attempt.started_at <= killed)
    under_way = set(map(str, db.session.scalars(left)))
    answered = [each for each, _ in receiver.answered if each.at < killed_at - DELAY - 0.5]
    counts = Counter(ids(receiver.received))
    assert {each for each in counts if counts[each] > 1} <= under_way - {*ids(answered)}
    assert max(counts.values()) <= 2


def test_requests_of_a_killed_worker_are_sent_again_soon(
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


def test_requests_are_sent_again_soon_after_a_restart_of_everything(
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
