"""Valkey only wakes senders. An empty, dead, hanging, or full Valkey delays deliveries and loses
none."""

import signal
import time

import pytest
from redis.exceptions import ResponseError

from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.durations import VALKEY_DOWN
from tests.faults.support.load import burst, has_received, within
from tests.faults.support.running_portal import VALKEY, RunningPortal
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

pytestmark = pytest.mark.timeout(240)
# Valkey hardly depends on the database. Only the hardest fault runs with both.
SQLITE = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@SQLITE
def test_emptying_valkey_during_a_burst_loses_nothing(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver)
    for arrived in (10, 30, 50):
        assert has_received(receiver, arrived)
        with portal.redis() as redis:
            redis.flushall()
    assert settled(20)
    assert_ledger(receiver, accepted)


@SQLITE
def test_emptying_an_idle_valkey_loses_nothing(portal: RunningPortal, receiver: Receiver) -> None:
    make_webhook(receiver.url)
    with portal.redis() as redis:
        redis.flushall()
    publish()
    assert settled(10)
    assert_ledger(receiver, 1)


@SQLITE
def test_a_save_does_not_wait_for_hanging_valkey(portal: RunningPortal, receiver: Receiver) -> None:
    make_webhook(receiver.url)
    with portal.hanging(VALKEY), within(10):
        publish()
    assert settled(15)
    assert_ledger(receiver, 1)


@SQLITE
def test_events_saved_while_valkey_hangs_are_sent_when_it_is_back(
    portal: RunningPortal, receiver: Receiver
) -> None:
    """Valkey hangs because the supervisor would restart a dead one."""
    accepted = burst(receiver, 60)
    assert has_received(receiver)
    until_back = time.monotonic() + VALKEY_DOWN
    with portal.hanging(VALKEY):
        while time.monotonic() < until_back:
            with within(10):
                accepted += int(bool(publish()))
            time.sleep(VALKEY_DOWN / 10)
    assert settled(30)
    assert_ledger(receiver, accepted)


def test_killing_valkey_repeatedly_loses_nothing(portal: RunningPortal, receiver: Receiver) -> None:
    accepted = burst(receiver)
    for arrived in (10, 30, 50):
        assert has_received(receiver, arrived)
        portal.kill(VALKEY, signal.SIGKILL)
        assert until(lambda: len(portal.pids_of(VALKEY)) == 1)
    assert settled(30)
    assert_ledger(receiver, accepted)


@SQLITE
def test_a_valkey_without_memory_loses_nothing(portal: RunningPortal, receiver: Receiver) -> None:
    accepted = burst(receiver, 60)
    assert has_received(receiver)
    with portal.redis() as redis:
        redis.config_set("maxmemory", 1)
        with pytest.raises(ResponseError, match="memory"):
            redis.set("anything", 1)
    for _ in range(10):
        with within(10):
            accepted += int(bool(publish()))
    time.sleep(3)
    with portal.redis() as redis:
        redis.config_set("maxmemory", 0)
    assert settled(30)
    assert_ledger(receiver, accepted)
