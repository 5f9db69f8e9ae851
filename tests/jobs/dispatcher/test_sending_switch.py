"""While all sending is stopped, requests in flight end, nothing else is sent, and nothing is
lost."""

import threading

from flask import Flask

from jobs.deliver import deliver_due
from portal.services.core.permissions import SYSTEM
from portal.services.operations import sending
from portal.services.outbox import claimable
from tests.jobs.dispatcher.delivery_clock import deliveries, leases
from tests.support.factories import make_webhook, publish
from tests.support.receiver import Receiver


def test_sending_stopped_under_load_continues_where_it_was(app: Flask, receiver: Receiver) -> None:
    make_webhook(receiver.url, secret="so that each has its id")
    receiver.answer(delay=0.4)
    for number in range(20):
        publish(asset_id=number + 1)

    def dispatcher() -> None:
        with app.app_context():
            deliver_due()

    running = threading.Thread(target=dispatcher)
    running.start()
    receiver.wait_for(8)  # one webhook's cap
    sending.stop(SYSTEM)
    running.join(timeout=10)
    assert not running.is_alive()
    publish(asset_id=21)
    deliver_due()
    assert len(receiver.received) == 8
    assert sorted({each.status for each in deliveries()}) == ["delivered", "queued"]
    assert leases() == []
    assert not claimable.has_claimable()
    sending.start(SYSTEM)
    receiver.calm()
    deliver_due()
    assert {each.status for each in deliveries()} == {"delivered"}
    ids = [each.header("webhook-id") for each in receiver.received]
    assert len(ids) == len(set(ids)) == 21
