"""The dispatcher delivers what is due, records what came of it, and loses nothing."""

import hmac
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
import trustme
from flask import Flask
from rq.timeouts import JobTimeoutException
from sqlalchemy import select, update

from jobs import context
from jobs.deliver import deliver_due, equip, new_dispatcher
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.redis_notifications import Wake
from portal.database.engine import database_now
from portal.engine.events.catalogue import EventName
from portal.extensions import db, settings
from portal.models.deliveries import AttemptBody, Delivery, Lease, Rollup
from portal.models.webhooks import Webhook
from portal.queue import notifier
from portal.services.core.unit_of_work import writing
from portal.services.outbox import claimable
from tests.jobs.dispatcher.delivery_clock import (
    ask_for_retry,
    attempts,
    crash_after_claim,
    leases,
    make_due,
    only_delivery,
)
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

SECRET = "whsec_c2VjcmV0IGZvciB0aGUgdGVzdHMgb2YgdGhlIHB1bXA="

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def test_it_delivers_an_event_with_its_headers_and_signature(receiver: Receiver) -> None:
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


def test_what_a_worker_runs_finds_an_application_by_itself(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "application", lambda: app)
    make_webhook(receiver.url)
    publish()
    with ThreadPoolExecutor(1) as worker:  # where no application is at work
        worker.submit(deliver_due).result()
    assert only_delivery().status == "delivered"


def test_it_writes_down_what_went_out_and_what_came_back(receiver: Receiver) -> None:
    make_webhook(receiver.url, headers=[("X-Api-Key", "tell nobody")])
    receiver.answer(status=201, body=b"thank <b>you</b>\0", headers=[("X-Node", "7")])
    publish()
    deliver_due()
    (attempt,) = attempts()
    body = db.session.get_one(AttemptBody, attempt.id)
    assert (attempt.outcome, attempt.code, attempt.kind) == ("delivered", 201, "scheduled")
    assert attempt.phases["total"] > 0
    assert attempt.peer.startswith("127.0.0.1:")
    assert body.response_text == "thank <b>you</b>\ufffd"
    assert ["X-Node", "7"] in body.response_headers
    assert ["X-Api-Key", "••••"] in body.request_headers


def test_it_tries_again_later_and_says_why(receiver: Receiver) -> None:
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
    again = receiver.received[1]
    assert again.body == first.body
    assert again.header("X-Asset-Webhook-Id") == first.header("X-Asset-Webhook-Id")
    assert [each.outcome for each in attempts()] == ["failed", "delivered"]


def test_it_gives_up_after_the_tenth_attempt(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    receiver.answer(status=500)
    publish()
    for _ in range(10):
        deliver_due()
        make_due()
    deliver_due()
    assert len(receiver.received) == 10
    assert (only_delivery().status, only_delivery().tries) == ("failed", 10)


def test_a_webhook_that_is_gone_is_turned_off_and_the_rest_is_held(receiver: Receiver) -> None:
    hook = make_webhook(receiver.url)
    receiver.answer(status=410)
    for asset_id in range(12):
        publish(asset_id=asset_id)
    deliver_due()
    db.session.rollback()
    webhook = db.session.get_one(Webhook, hook.id)
    assert (webhook.state, webhook.off_reason) == ("off", "gone")
    ends = {(d.status, d.reason) for d in db.session.query(Delivery)}
    assert ends == {("failed", "gone"), ("on_hold", None)}


def test_it_sends_at_most_eight_at_once_to_one_receiver(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    receiver.answer(delay=0.15)
    for asset_id in range(20):
        publish(asset_id=asset_id)
    deliver_due()
    assert len(receiver.received) == 20
    assert receiver.connections_seen <= 8


def test_what_a_crash_left_is_sent_again_and_the_crash_is_visible(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    publish()
    crash_after_claim()
    deliver_due()
    assert receiver.received == []
    make_due()
    deliver_due()
    assert only_delivery().status == "delivered"
    assert only_delivery().tries == 2
    assert [each.outcome for each in attempts()] == ["interrupted", "delivered"]


def test_a_delivery_whose_every_attempt_was_cut_off_fails_visibly(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    publish()
    for _ in range(10):
        crash_after_claim()
        make_due()
    deliver_due()
    assert receiver.received == []
    assert (only_delivery().status, only_delivery().reason) == ("failed", "interrupted")
    counted = db.session.query(Rollup).one()
    assert (counted.failed, counted.failed_attempts) == (1, 1)


def test_a_persons_attempt_that_is_cut_off_is_repeated_as_theirs(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    publish()
    receiver.answer(status=400)
    deliver_due()
    ask_for_retry(only_delivery().id)
    for _ in range(3):
        crash_after_claim()
        make_due()
    with writing() as current:
        far = database_now(current.connection()) + timedelta(hours=1)
        current.execute(update(Delivery).values(prior_due_at=far))
    deliver_due()
    delivery = only_delivery()
    assert (delivery.status, delivery.tries, delivery.due_at) == ("retrying", 1, far)
    kinds = [(each.kind, each.outcome) for each in attempts()]
    assert kinds == [("scheduled", "failed"), *[("manual", "interrupted")] * 3]


def test_a_header_that_may_not_be_sent_fails_at_once_without_a_request(
    receiver: Receiver,
) -> None:
    make_webhook(receiver.url, headers=[("Host", "elsewhere.example.com")])
    publish()
    deliver_due()
    assert receiver.received == []
    assert (only_delivery().status, only_delivery().reason) == ("failed", "bad_headers")
    (attempt,) = attempts()
    assert "Host" in db.session.get_one(AttemptBody, attempt.id).detail


def test_a_secret_sealed_for_another_webhook_is_never_used(receiver: Receiver) -> None:
    donor = make_webhook(receiver.url, secret=SECRET, events=[EventName.DELETED])
    hook = make_webhook(receiver.url)
    with writing() as current:
        sealed = current.get_one(Webhook, donor.id).secret_enc
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(secret_enc=sealed))
    publish()
    deliver_due()
    assert receiver.received == []
    waiting = only_delivery()
    assert (waiting.status, waiting.tries, waiting.attempts) == ("queued", 0, 0)


def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    make_webhook("http://[::1]:9/hook")  # loopback, but outside of the allowed network
    publish()
    deliver_due()
    assert (only_delivery().status, only_delivery().reason) == ("failed", "blocked")


def test_nothing_is_claimable_while_it_is_off_or_not_yet_due(app: Flask) -> None:
    hook = make_webhook()
    publish()
    assert claimable.has_claimable()
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(state="off"))
    assert not claimable.has_claimable()
    with writing() as current:
        current.execute(update(Webhook).values(state="active"))
        later = database_now(current.connection()) + timedelta(seconds=30)
        current.execute(update(Delivery).values(due_at=later))
    assert not claimable.has_claimable()


def test_what_ends_is_counted_by_the_hour(receiver: Receiver) -> None:
    hook = make_webhook(receiver.url)
    publish(asset_id=1)
    deliver_due()
    receiver.answer(status=410)
    publish(asset_id=2)
    deliver_due()
    db.session.rollback()
    # Two rows, where the hour ends between the deliveries.
    hours = db.session.query(Rollup).filter_by(webhook_id=hook.id).all()
    assert sum(hour.delivered for hour in hours) == sum(hour.failed for hour in hours) == 1


def test_what_a_dispatcher_left_open_when_it_broke_is_nothing_to_the_next(
    receiver: Receiver,
) -> None:
    """RQ's fuse is an exception in the middle of whatever runs."""
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
    assert [each.outcome for each in attempts()] == ["interrupted", "delivered"]


def test_leases_of_a_process_without_heartbeats_are_nobodys_whom_others_could_miss(
    app: Flask, receiver: Receiver
) -> None:
    make_webhook(receiver.url)
    publish()
    receiver.answer(delay=0.5)

    def deliver() -> None:
        with app.app_context():
            deliver_due()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(deliver)
        assert until(lambda: receiver.received != [], 5)
        db.session.rollback()
        assert db.session.scalars(select(Lease.run)).all() == [None]
        done.result()
    db.session.rollback()
    assert only_delivery().status == "delivered"


def test_one_that_has_nothing_to_do_waits_until_it_is_woken() -> None:
    """It asks whether it is to stop a few times in each of its turns."""
    asked, began = 0, monotonic()

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        return monotonic() - began > 0.3

    new_dispatcher(is_over).run()
    assert asked < 30


def test_it_trusts_the_operators_own_authority(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, bundle = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    changed = replace(settings(), webhook_ca_bundle=str(bundle))
    monkeypatch.setitem(app.extensions, "settings", changed)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(tls=context) as receiver:
        make_webhook(receiver.url)
        publish()
        deliver_due()
    assert (only_delivery().status, only_delivery().reason) == ("delivered", None)
