"""A dispatcher from its first poll to its end, with its side tasks."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from rq import Queue
from sqlalchemy import event

from jobs.deliver import deliver_due, equip, new_dispatcher
from jobs.dispatcher import loop
from jobs.stop_flag import stop
from portal.database.engine import database_now
from portal.engine.events.catalogue import EventName
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.queue import names, notifier
from portal.queue.portal_job import PortalJob
from portal.services.core import heartbeats
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.webhooks.sample_deliveries import send_test
from tests.engine.http.real_receivers.hostile import HostileServer, Visit
from tests.jobs.dispatcher.delivery_clock import attempts, deliveries, leases
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_user, make_webhook, publish
from tests.support.receiver import Answer, Received, Receiver
from tests.support.servers import ValkeyServer

LONG = 10  # seconds for a receiver's response, enough for a slow machine

Set = Callable[..., None]


@pytest.fixture
def having(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Return a function that changes settings for this test."""

    def change(**changes: Any) -> None:
        monkeypatch.setitem(app.extensions, "settings", replace(settings(), **changes))

    return change


@pytest.fixture
def redis(app: Flask, valkey_server: ValkeyServer) -> Redis:
    """Return a client of this test's Valkey."""
    return valkey_server.client()


def queued(redis: Redis) -> list[str]:
    """Return the job names in the queue for deliveries, next first."""
    queue = Queue(names.DELIVERIES, connection=redis, job_class=PortalJob)
    return [job.func_name for job in queue.get_jobs() if job.func_name is not None]


def test_deliveries_that_failed_together_are_retried_at_different_times(
    having: Set, receiver: Receiver
) -> None:
    having(webhook_retry_schedule=(0, 1000))
    make_webhook(receiver.url)
    receiver.answer(status=500)
    for number in range(8):
        publish(asset_id=number + 1)
    before = database_now(db.session.connection())
    deliver_due()
    waits = [(delivery.due_at - before).total_seconds() for delivery in deliveries()]
    assert max(waits) - min(waits) > 20  # seconds out of 200
    assert min(waits) >= 900
    assert max(waits) < 1100 + 60


def test_a_stopping_dispatcher_claims_no_more_and_queues_a_job(having: Set, redis: Redis) -> None:
    having(webhook_timeout=LONG)

    def tell_it_to_stop(_received: Received) -> None:
        redis.flushall()  # lifts the limit of one job a second
        stop.set()

    with Receiver(answerer=tell_it_to_stop) as receiver:
        make_webhook(receiver.url, in_order=True)
        for number in range(3):
            publish(asset_id=number + 1)
        deliver_due()
    assert [delivery.status for delivery in deliveries()] == ["delivered", "queued", "queued"]
    assert [delivery.tries for delivery in deliveries()] == [1, 0, 0]
    assert queued(redis) == [names.DELIVER_DUE]


def test_a_slow_request_at_the_end_is_released_without_counting(
    having: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    having(webhook_timeout=60)
    monkeypatch.setattr(loop, "LAST_WAIT", 0.1)
    told = threading.Event()

    def stop_and_hang(_received: Received) -> None:
        stop.set()
        told.wait(LONG)

    with Receiver(answerer=stop_and_hang) as receiver:
        make_webhook(receiver.url)
        publish()
        before = stored(deliveries()[0].public_id)
        deliver_due()
        told.set()
    after = stored(deliveries()[0].public_id)
    assert {name for name in after if after[name] != before[name]} == {"attempts"}
    (attempt,) = attempts()
    assert (attempt.outcome, attempt.finished_at is None) == ("interrupted", False)


@pytest.mark.both_databases
def test_deliveries_claimed_during_the_shutdown_are_released_unchanged(
    app: Flask, having: Set, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite works in the dispatcher's own thread")
    having(webhook_timeout=60)
    monkeypatch.setattr(loop, "LAST_WAIT", 0.1)
    has_hung_up = threading.Event()

    def publish_and_hang(visit: Visit) -> None:
        visit.read_request()
        with app.app_context():
            publish(EventName.LOST)
        visit.socket.recv(1)
        has_hung_up.set()

    def keep_the_answer(*_of_the_pool: object) -> None:
        with app.app_context():
            has_claimed = len(leases()) == 2
        if has_claimed:
            stop.set()
            has_hung_up.wait(LONG)

    with HostileServer(publish_and_hang) as hanging:
        make_webhook(hanging.url)
        make_webhook(receiver.url, events=[EventName.LOST])
        publish()
        engine = equip().engine
        event.listen(engine, "checkin", keep_the_answer)
        try:
            deliver_due()
        finally:
            event.remove(engine, "checkin", keep_the_answer)
    assert has_hung_up.is_set()
    assert (receiver.received, leases()) == ([], [])
    assert [(delivery.status, delivery.attempts) for delivery in deliveries()] == [
        ("queued", 1),
        ("queued", 0),
    ]


def test_responses_left_by_an_error_are_not_taken_for_later_requests(having: Set) -> None:
    having(webhook_timeout=LONG)
    has_come, may_end = threading.Event(), threading.Event()

    def hang_and_refuse(received: Received) -> Answer:
        if b"AST-00001" not in received.body:
            return Answer()
        has_come.set()
        may_end.wait(LONG)
        return Answer(500)

    def broken() -> bool:
        if has_come.is_set():
            raise RuntimeError("broken")
        return False

    with Receiver(answerer=hang_and_refuse) as receiver:
        make_webhook(receiver.url)
        publish(asset_id=1)
        with pytest.raises(RuntimeError, match="broken"):
            new_dispatcher(broken).run_until_idle()
        assert equip().transport.in_flight == 0
        may_end.set()
        publish(asset_id=2)
        deliver_due()
    assert [delivery.status for delivery in deliveries()] == ["queued", "delivered"]


def test_a_test_opens_a_connection_and_an_event_reuses_one(app: Flask, receiver: Receiver) -> None:
    hook, ana = make_webhook(receiver.url), make_user().actor
    for _ in range(2):
        publish()
        deliver_due()
    assert receiver.connections_seen == 1
    send_test(ana, hook.public_id)
    deliver_due()
    assert receiver.connections_seen == 2
    *_, scheduled, test = attempts()
    assert (scheduled.kind, scheduled.phases["connect"]) == ("scheduled", None)
    assert (test.kind, test.phases["connect"] is None) == ("test", False)


def test_a_running_dispatcher_does_the_maintenance(
    app: Flask, redis: Redis, receiver: Receiver
) -> None:
    ana = make_user().actor
    slipped_in = make_delivery(make_webhook(state="off"))
    later = utcnow() + timedelta(hours=5)
    recovered = make_webhook(reopened_at=utcnow())
    waits = make_delivery(recovered, status="retrying", due_at=later)
    failed = make_delivery(make_webhook(), status="failed")
    bulk_retry.start(ana, Selection(ticked=(failed,)))
    make_webhook(receiver.url)
    publish()
    redis.flushall()
    deliver_due()
    assert stored(slipped_in)["status"] == "on_hold"
    assert stored(waits)["due_at"] < later
    assert db.session.get_one(Webhook, recovered.id).reopened_at is None
    assert redis.exists(notifier.TASKS_QUEUED)
    db.session.rollback()
    assert {process.kind for process in heartbeats.processes()} == {
        heartbeats.MAINTENANCE,
        heartbeats.DISPATCHER,
    }
