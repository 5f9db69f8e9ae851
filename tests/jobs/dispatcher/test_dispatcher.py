"""The dispatcher delivers due deliveries and records the results."""

import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic

import pytest
from flask import Flask
from rq.timeouts import JobTimeoutException

from jobs import context
from jobs.deliver import deliver_due, equip, new_dispatcher
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.redis_notifications import Wake
from portal.database.engine import database_now
from portal.extensions import db, settings
from portal.models.deliveries import AttemptBody
from portal.queue import notifier
from tests.jobs.dispatcher.delivery_clock import (
    attempts,
    leases,
    make_due,
    only_delivery,
)
from tests.support.factories import make_webhook, publish
from tests.support.receiver import Receiver

SECRET = "whsec_c2VjcmV0IGZvciB0aGUgdGVzdHMgb2YgdGhlIHB1bXA="

pytestmark = pytest.mark.usefixtures("app")


def test_an_event_is_delivered_with_its_headers_and_signature(receiver: Receiver) -> None:
    make_webhook(f"{receiver.url}/in", secret=SECRET, headers=[("X-Api-Key", "tell nobody")])
    publish()
    deliver_due()
    (received,) = receiver.wait_for(1)
    delivery = only_delivery()
    assert delivery.status == "delivered"
    assert (delivery.tries, delivery.attempts, leases()) == (1, 1, [])
    assert list(json.loads(received.body)) == [
        "event", "timestamp", "source", "asset_id", "asset", "data",
    ]  # fmt: skip
    names = [name for name, _ in received.headers]
    assert [name for name in names if name not in {"Host", "Content-Length"}] == [
        "Content-Type", "User-Agent", "X-Asset-Webhook-Event", "X-Asset-Webhook-Timestamp",
        "X-Asset-Webhook-Id", "X-Asset-Webhook-Signature", "webhook-id", "webhook-timestamp",
        "webhook-signature", "X-Api-Key",
    ]  # fmt: skip
    expected = hmac.new(SECRET.encode(), received.body, "sha256").hexdigest()
    assert received.header("X-Asset-Webhook-Signature") == expected
    assert received.header("X-Asset-Webhook-Id") == str(delivery.public_id)
    assert received.header("X-Api-Key") == "tell nobody"


def test_a_job_finds_the_application_by_itself(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "application", lambda: app)
    make_webhook(receiver.url)
    publish()
    with ThreadPoolExecutor(1) as worker:  # a thread without an application context
        worker.submit(deliver_due).result()
    assert only_delivery().status == "delivered"


def test_a_failed_delivery_is_retried_later_with_its_reason(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    receiver.answer(status=500)
    publish()
    before = database_now(db.session.connection())
    deliver_due()
    delivery = only_delivery()
    assert (delivery.status, delivery.reason, delivery.code) == ("retrying", "server", 500)
    assert timedelta(seconds=4) < delivery.due_at - before < timedelta(seconds=8)
    first = receiver.received[0]
    receiver.answer(status=200)
    make_due()
    deliver_due()
    assert only_delivery().status == "delivered"
    retried = receiver.received[1]
    assert retried.body == first.body
    assert retried.header("X-Asset-Webhook-Id") == first.header("X-Asset-Webhook-Id")
    assert [attempt.outcome for attempt in attempts()] == ["failed", "delivered"]


def test_a_forbidden_header_fails_at_once_without_a_request(
    receiver: Receiver,
) -> None:
    make_webhook(receiver.url, headers=[("Host", "elsewhere.example.com")])
    publish()
    deliver_due()
    assert receiver.received == []
    assert (only_delivery().status, only_delivery().reason) == ("failed", "bad_headers")
    (attempt,) = attempts()
    assert "Host" in db.session.get_one(AttemptBody, attempt.id).detail


@pytest.mark.both_databases
def test_requests_left_by_a_broken_dispatcher_do_not_disturb_the_next(
    receiver: Receiver,
) -> None:
    """RQ's job timeout is an exception at any point."""
    make_webhook(receiver.url)
    receiver.answer(delay=0.2)
    publish()
    transport = equip().transport

    def fuse() -> bool:
        if transport.in_flight:
            raise JobTimeoutException
        return False

    with pytest.raises(JobTimeoutException):
        Dispatcher(
            settings=settings(),
            engine=equip().engine,
            transport=transport,
            notifier=notifier.notifier(),
            wake=Wake(),
            connectivity=equip().connectivity,
            is_stopping=fuse,
        ).run()
    assert (transport.in_flight, transport._sockets.is_watching) == (0, False)
    make_due()
    deliver_due()
    assert only_delivery().status == "delivered"
    assert [attempt.outcome for attempt in attempts()] == ["interrupted", "delivered"]


def test_an_idle_dispatcher_waits_until_it_is_woken() -> None:
    """It checks for a stop a few times in each round."""
    asked, began = 0, monotonic()

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        return monotonic() - began > 0.3

    new_dispatcher(is_over).run()
    assert asked < 30
