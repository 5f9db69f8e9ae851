"""A pump that has nothing to send hears the bell by a subscription, and lingers for the next."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from redis import Redis
from rq import Queue

from jobs.deliver import equip
from jobs.pump import pump as pump_module
from jobs.pump.pump import Pump
from portal.extensions import settings
from portal.queue import bell
from portal.queue.names import DELIVERIES
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import ValkeyServer


@contextmanager
def lingering(app: Flask, seconds: float) -> Iterator[threading.Thread]:
    """A pump beside us that lingers for so long, and is stopped at the end."""
    is_stopping = threading.Event()

    def work() -> None:
        with app.app_context():
            equipment = equip()
            Pump(
                settings=settings(),
                engine=equipment.engine,
                transport=equipment.transport,
                bell=bell.bell(),
                is_stopping=is_stopping.is_set,
                linger=seconds,
            ).run()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        is_stopping.set()
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.fixture
def only_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is not looked at by itself."""
    monkeypatch.setattr(pump_module, "LOOK_EVERY", 60.0)


def queued(redis: Redis) -> int:
    """How many jobs wait to be picked up."""
    return Queue(DELIVERIES, connection=redis).count


@pytest.mark.usefixtures("only_the_bell")
def test_the_next_message_needs_no_job_and_no_look_at_the_table(
    app: Flask, valkey_server: ValkeyServer
) -> None:
    redis = Redis.from_url(valkey_server.url)
    with Receiver() as receiver:
        make_webhook(receiver.url)
        publish()
        redis.delete(*redis.keys("rq:queue:*"), bell.QUEUED)
        with lingering(app, 30) as thread:
            assert until(lambda: len(receiver.received) == 1)
            assert until(lambda: bool(redis.exists(bell.AWAKE)))
            publish()
            assert until(lambda: len(receiver.received) == 2)
            assert thread.is_alive()
            assert queued(redis) == 0


@pytest.mark.usefixtures("only_the_bell")
def test_a_subscription_that_is_lost_is_made_again(app: Flask, valkey_server: ValkeyServer) -> None:
    redis = Redis.from_url(valkey_server.url)
    with Receiver() as receiver:
        make_webhook(receiver.url)
        publish()
        with lingering(app, 30):
            assert until(lambda: len(receiver.received) == 1)
            for count in (2, 3, 4):
                assert until(lambda: len(redis.client_list(_type="pubsub")) == 1)
                redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                publish()
                assert until(lambda count=count: len(receiver.received) == count)


def test_without_a_message_it_does_not_linger(app: Flask) -> None:
    with lingering(app, 30) as thread:
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_it_ends_when_nothing_has_come_for_that_long(app: Flask) -> None:
    with Receiver() as receiver:
        make_webhook(receiver.url)
        publish()
        with lingering(app, 0.2) as thread:
            thread.join(timeout=5)
            assert not thread.is_alive()
    assert len(receiver.received) == 1


def test_whoever_may_not_publish_rings_all_the_same(
    app: Flask, valkey_server: ValkeyServer
) -> None:
    redis = Redis.from_url(valkey_server.url)
    redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        before = bell.bell_count()
        publish_something()
        assert bell.bell_count() == (before or 0) + 1
        assert queued(redis) == 1
    finally:
        redis.execute_command("ACL", "SETUSER", "default", "allchannels")


def publish_something() -> None:
    make_webhook()
    publish()
