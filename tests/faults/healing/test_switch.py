"""Sending is stopped under load. Requests in flight end, and nothing else is sent until it is on.

The short form, within one process, is `tests/jobs/dispatcher/test_sending_switch.py`.
"""

import time

import pytest

from portal.services.core.permissions import SYSTEM
from portal.services.operations import sending
from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.durations import IS_FULL
from tests.faults.support.load import burst, has_received
from tests.faults.support.running_portal import RunningPortal
from tests.support.factories import publish
from tests.support.receiver import Receiver

IN_FLIGHT_ENDS = 2.0  # seconds, of requests that take 0.8
QUIET = 5.0


@pytest.mark.skipif(not IS_FULL, reason="the short form is enough for every day")
def test_sending_stops_under_load_and_starts_again(
    portal: RunningPortal, receiver: Receiver
) -> None:
    del portal
    stored = burst(receiver, delay=0.8)  # to one webhook, eight at a time
    assert has_received(receiver)
    sending.stop(SYSTEM)
    time.sleep(IN_FLIGHT_ENDS)
    arrived = len(receiver.received)
    assert arrived < stored
    for number in range(10):
        publish(asset_id=1000 + number)
    time.sleep(QUIET)
    assert len(receiver.received) == arrived
    sending.start(SYSTEM)
    assert settled(60)
    assert_ledger(receiver, stored + 10)
