"""A worker that is told to stop gives back what it cannot finish, and it counts as nothing."""

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
# How leases are given back is tested on both databases by the dispatcher's own tests.
pytestmark = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def portal_settings() -> dict[str, str]:
    """A request may last longer than a worker waits for it at its end."""
    return {"WEBHOOK_TIMEOUT": "30"}


def end_worker(portal: RunningPortal, seconds: float) -> None:
    """Ask once, and see it end in time."""
    pid = portal.kill(WORKER, 15)
    assert until(lambda: not is_alive(pid), seconds)


def test_what_can_be_finished_is_finished_and_the_rest_goes_on(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver, 40, webhooks=4, delay=0.2)
    assert has_received(receiver, 40)
    end_worker(portal, 12)
    assert settled(15)
    assert_ledger(receiver, accepted)
    assert len(receiver.received) == accepted
    assert all(each.attempts == each.tries == 1 for each in deliveries_to(receiver))


def test_asked_a_second_time_it_still_finishes_what_it_has_begun(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver, CAP, delay=3)
    assert has_received(receiver, CAP)
    pid = portal.kill(WORKER, signal.SIGTERM)
    time.sleep(1.2)  # what comes sooner RQ takes for the same wish
    with suppress(ProcessLookupError):  # it has ended, on a busy machine
        os.kill(pid, signal.SIGTERM)
    assert until(lambda: not is_alive(pid), 12)
    assert settled(15)
    assert len(receiver.received) == accepted
    assert all(each.attempts == each.tries == 1 for each in deliveries_to(receiver))


@pytest.mark.skipif(not IS_FULL, reason="waits for all of it: FAULTS=full")
def test_what_takes_twelve_seconds_is_waited_for_and_repeated_by_nobody(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver, CAP, delay=12)
    assert has_received(receiver, CAP)
    end_worker(portal, 15)
    assert settled(25)
    assert_ledger(receiver, accepted)
    assert len(receiver.received) == accepted


@pytest.mark.skipif(not IS_FULL, reason="waits for all of it: FAULTS=full")
def test_what_takes_too_long_is_released_at_once_and_counted_as_nothing(
    portal: RunningPortal, receiver: Receiver
) -> None:
    for _ in range(CAP):
        receiver.answer_next(delay=28)
    accepted = burst(receiver, 20, delay=0.05)
    assert has_received(receiver, CAP)
    end_worker(portal, 15)
    with within(25):  # the leases would have lasted for half a minute more
        assert settled(25)
    assert_ledger(receiver, accepted)
    assert all(each.tries == 1 for each in deliveries_to(receiver))
    look_again()
    cut_off = select(Attempt.finished_at).where(Attempt.outcome == "interrupted")
    assert len([at for at in db.session.scalars(cut_off) if at is not None]) == CAP
    webhook = db.session.scalars(select(Webhook).order_by(Webhook.id.desc())).first()
    assert webhook is not None
    assert (webhook.failures_in_row, webhook.throttled) == (0, False)
