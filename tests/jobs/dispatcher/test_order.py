"""With ordered delivery, the receiver gets events one at a time in the order they happened."""

import json
import threading
from datetime import timedelta

import pytest
from flask import Flask

from jobs.deliver import deliver_due, equip
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.redis_notifications import Wake
from jobs.stop_flag import stop
from portal.database.engine import impatient_engine
from portal.engine.http.transport import Transport
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.queue import notifier
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter
from portal.services.dispatch import request
from portal.services.outbox.claimable import WaitsFor
from portal.services.webhooks import sample_deliveries
from tests.jobs.dispatcher.delivery_clock import (
    ask_for_retry,
    claim,
    crash_after_claim,
    deliveries,
    make_due,
)
from tests.support.deliveries import change
from tests.support.factories import make_user, make_webhook, publish
from tests.support.receiver import Receiver

pytestmark = pytest.mark.both_databases


def publish_many(count: int) -> None:
    for number in range(count):
        publish(asset_id=number + 1)


def arrived(receiver: Receiver) -> list[int]:
    """Return the asset IDs in the receiver's order of arrival."""
    return [json.loads(message.body)["asset_id"] for message in receiver.received]


@pytest.mark.usefixtures("app")
def test_ordered_deliveries_arrive_one_after_the_other(receiver: Receiver) -> None:
    make_webhook(receiver.url, in_order=True)
    receiver.answer(delay=0.02)
    publish_many(10)
    deliver_due()
    assert arrived(receiver) == list(range(1, 11))
    assert receiver.connections_seen == 1


@pytest.mark.usefixtures("app")
def test_a_delivery_waits_until_the_previous_one_succeeds(receiver: Receiver) -> None:
    make_webhook(receiver.url, in_order=True)
    receiver.answer(status=500)
    publish_many(3)
    deliver_due()
    assert arrived(receiver) == [1]
    make_due()
    deliver_due()
    assert arrived(receiver) == [1, 1]
    receiver.answer(status=200)
    make_due()
    deliver_due()
    assert arrived(receiver) == [1, 1, 1, 2, 3]


@pytest.mark.usefixtures("app")
def test_a_head_with_an_interrupted_retry_is_not_overtaken(receiver: Receiver) -> None:
    make_webhook(receiver.url, in_order=True)
    receiver.answer(status=500)
    publish_many(3)
    deliver_due()
    receiver.answer(status=200)
    ask_for_retry(deliveries()[0].id, priority=Priority.BULK)
    crash_after_claim()
    deliver_due()
    assert arrived(receiver) == [1]
    make_due()
    deliver_due()
    assert arrived(receiver) == [1, 1, 2, 3]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("is_being_sent", [True, False])
def test_a_test_delivery_is_never_the_head_of_the_queue(is_being_sent: bool) -> None:
    """Neither a slow one in flight nor one that waits for a slot."""
    hook = make_webhook(in_order=True)
    sample_deliveries.send_test(make_user().actor, hook.public_id)
    if is_being_sent:
        assert [entry.kind for entry in claim()] == ["test"]
    else:
        change(deliveries()[0].public_id, due_at=utcnow() + timedelta(hours=1))
    publish_many(2)
    assert [entry.waits_for for entry in log_pages.latest(LogFilter())] == [
        WaitsFor.ORDER,
        None,
        None,
    ]
    (head,) = claim()
    assert (head.kind, head.delivery_id) == ("scheduled", deliveries()[1].id)


def test_concurrent_dispatchers_keep_the_order(app: Flask, receiver: Receiver) -> None:
    make_webhook(receiver.url, in_order=True)
    make_webhook(receiver.url + "other", in_order=True)
    receiver.answer(delay=0.005)
    publish_many(15)
    dispatchers = [threading.Thread(target=dispatcher_alone, args=[app]) for _ in range(3)]
    for thread in dispatchers:
        thread.start()
    for thread in dispatchers:
        thread.join(timeout=20)
    deliver_due()
    for path in ("/", "/other"):
        seen = [json.loads(r.body)["asset_id"] for r in receiver.received if r.path == path]
        assert seen == list(range(1, 16))


def dispatcher_alone(app: Flask) -> None:
    """Run a dispatcher with its own connections, as another process does."""
    with app.app_context():
        engine = impatient_engine(settings().database_url)
        transport = Transport(request.guard(settings()))
        Dispatcher(
            settings=settings(),
            engine=engine,
            transport=transport,
            notifier=notifier.notifier(),
            wake=Wake(),
            connectivity=equip().connectivity,
            is_stopping=stop.is_set,
        ).run_until_idle()
        transport.close()
        engine.dispose()
        db.session.remove()
