"""A stopping worker releases deliveries that it can't finish, and these attempts don't count."""

import os
import signal
import time
from contextlib import suppress

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models.deliveries import Attempt
from portal.models.webhooks import Webhook
from tests.faults.support.delivery_ledger import assert_ledger, deliveries_to, settled
from tests.faults.support.durations import IS_FULL
from tests.faults.support.load import burst, has_received, look_again, within
from tests.faults.support.running_portal import WORKER, RunningPortal
from tests.support.processes import is_alive, until
from tests.support.receiver import Receiver

CAP = 8
# The dispatcher's own tests check the release of leases on both databases.
pytestmark = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def portal_settings() -> dict[str, str]:
    """Let a request last longer than a stopping worker waits for it."""
    return {"WEBHOOK_TIMEOUT": "30"}


def end_worker(portal: RunningPortal, seconds: float) -> None:
    """Send one SIGTERM and assert that the worker ends in time."""
    pid = portal.kill(WORKER, 15)
    assert until(lambda: not is_alive(pid), seconds)


def test_a_stopping_worker_finishes_its_requests_and_releases_the_rest(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver, 40, webhooks=4, delay=0.2)
    assert has_received(receiver, 40)
    end_worker(portal, 12)
    assert settled(15)
    assert_ledger(receiver, accepted)
    assert len(receiver.received) == accepted
    assert all(row.attempts == row.tries == 1 for row in deliveries_to(receiver))


def test_a_second_sigterm_still_lets_requests_in_flight_finish(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver, CAP, delay=3)
    assert has_received(receiver, CAP)
    pid = portal.kill(WORKER, signal.SIGTERM)
    time.sleep(1.2)  # RQ ignores a second signal that comes sooner
    with suppress(ProcessLookupError):  # on a busy machine, it has already ended
        os.kill(pid, signal.SIGTERM)
    assert until(lambda: not is_alive(pid), 12)
    assert settled(15)
    assert len(receiver.received) == accepted
    assert all(row.attempts == row.tries == 1 for row in deliveries_to(receiver))


@pytest.mark.skipif(not IS_FULL, reason="waits for all of it: FAULTS=full")
def test_a_stopping_worker_waits_for_requests_of_twelve_seconds(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver, CAP, delay=12)
    assert has_received(receiver, CAP)
    end_worker(portal, 15)
    assert settled(25)
    assert_ledger(receiver, accepted)
    assert len(receiver.received) == accepted


@pytest.mark.skipif(not IS_FULL, reason="waits for all of it: FAULTS=full")
def test_a_stopping_worker_releases_slow_requests_without_counting_them(
    portal: RunningPortal, receiver: Receiver
) -> None:
    for _ in range(CAP):
        receiver.answer_next(delay=28)
    accepted = burst(receiver, 20, delay=0.05)
    assert has_received(receiver, CAP)
    end_worker(portal, 15)
    with within(25):  # the leases would last half a minute longer
        assert settled(25)
    assert_ledger(receiver, accepted)
    assert all(row.tries == 1 for row in deliveries_to(receiver))
    look_again()
    cut_off = select(Attempt.finished_at).where(Attempt.outcome == "interrupted")
    assert len([at for at in db.session.scalars(cut_off) if at is not None]) == CAP
    webhook = db.session.scalars(select(Webhook).order_by(Webhook.id.desc())).first()
    assert webhook is not None
    assert (webhook.failures_in_row, webhook.throttled) == (0, False)
