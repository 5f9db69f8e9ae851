"""Whatever is killed in the middle of a burst, every message still arrives."""

import os
import signal
import time

from portal.extensions import db
from portal.services import processes
from tests.factories import make_webhook, publish
from tests.faults.conftest import House
from tests.faults.ledger import assert_ledger, settled
from tests.jobs.processes import until
from tests.receiver import Receiver

BURST = 200


def burst(receiver: Receiver) -> None:
    """200 events for ten webhooks' worth of places, to a receiver that takes its time."""
    receiver.answer(delay=0.1)
    make_webhook(receiver.url, secret="a secret of twelve")
    for number in range(BURST):
        publish(asset_id=number + 1)


def test_every_message_arrives_though_the_worker_is_killed(
    house: House, receiver: Receiver
) -> None:
    burst(receiver)
    assert until(lambda: len(receiver.received) >= 20)
    os.kill(house.pid_of("worker deliveries"), signal.SIGKILL)
    assert settled(30)
    assert_ledger(receiver, BURST)


def test_every_message_arrives_though_valkey_is_killed(house: House, receiver: Receiver) -> None:
    burst(receiver)
    assert until(lambda: len(receiver.received) >= 20)
    os.kill(house.pid_of("valkey-server"), signal.SIGKILL)
    publish(asset_id=BURST + 1)
    assert settled(30)
    assert_ledger(receiver, BURST + 1)


def test_it_goes_on_without_the_scheduler_and_without_a_ring(
    house: House, receiver: Receiver
) -> None:
    make_webhook(receiver.url)
    valkey = house.pid_of("valkey-server")
    os.kill(valkey, signal.SIGSTOP)  # it hangs: nobody can ring
    began = time.monotonic()
    publish()
    assert time.monotonic() - began < 2, "a hanging Redis held up a Save"
    os.kill(valkey, signal.SIGCONT)
    assert settled(15)
    assert_ledger(receiver, 1)


def test_the_sweep_leaves_a_sign_of_life(house: House) -> None:
    def was_just_seen() -> bool:
        db.session.rollback()
        age = processes.age("sweep")
        return age is not None and age < 3

    assert until(was_just_seen)
