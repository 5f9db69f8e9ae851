"""A sender learns of new events through a Redis subscription, and waits on its socket."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

import pytest
from flask import Flask
from redis import Redis

from jobs.deliver import equip
from jobs.dispatcher import loop, redis_notifications
from jobs.dispatcher.redis_notifications import Notifications
from portal.queue import notifier
from portal.queue.notifier import Notifier
from tests.jobs.dispatcher.running_sender import running_sender
from tests.jobs.outage import Clock
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import ValkeyServer

LONG = 60.0


@pytest.fixture
def only_the_notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable polling of the table."""
    monkeypatch.setattr(loop, "POLL_EVERY", LONG)


@pytest.fixture
def redis(app: Flask, valkey_server: ValkeyServer) -> Redis:
    """Return a client of the notifier's Valkey."""
    return valkey_server.client()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr(redis_notifications, "monotonic", turned.monotonic)
    return turned


def is_subscribed(redis: Redis) -> bool:
    """Return whether a client is subscribed to the notifier."""
    return len(redis.client_list(_type="pubsub")) == 1


@contextmanager
def subscribed(heard: Notifier) -> Iterator[Notifications]:
    notifications = Notifications(heard, equip().transport)
    notifications.start()
    try:
        yield notifications
    finally:
        notifications.stop()
        assert not equip().transport._sockets.is_watching


def drive(notifications: Notifications) -> None:
    equip().transport.drive(redis_notifications.TOGETHER)
    notifications.receive()


def has_something(notifications: Notifications) -> bool:
    drive(notifications)
    return notifications.patience < inf


def taken_twice(notifications: Notifications) -> list[bool]:
    return [notifications.take() for _ in range(2)]


@pytest.mark.usefixtures("only_the_notifier")
def test_a_notified_event_needs_no_poll(app: Flask, redis: Redis) -> None:
    with Receiver() as receiver, running_sender(app):
        make_webhook(receiver.url)
        assert until(lambda: is_subscribed(redis))
        for count in (1, 2, 3):
            publish()
            assert until(lambda count=count: len(receiver.received) == count)


@pytest.mark.usefixtures("only_the_notifier")
def test_a_lost_subscription_is_renewed(app: Flask, redis: Redis) -> None:
    with Receiver() as receiver:
        make_webhook(receiver.url)
        with running_sender(app):
            for count in (1, 2, 3):
                assert until(lambda: is_subscribed(redis))
                redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                publish()
                assert until(lambda count=count: len(receiver.received) == count)


def test_unread_notifications_count_as_one(app: Flask, clock: Clock) -> None:
    del app
    with subscribed(notifier.notifier()) as notifications:
        drive(notifications)
        assert (notifications.patience, taken_twice(notifications)) == (inf, [False, False])
        for _ in range(3):
            notifier.notify()
        assert until(lambda: has_something(notifications))
        assert (notifications.patience, taken_twice(notifications)) == (0.0, [True, False])


def test_notifications_within_a_moment_count_as_one(app: Flask, clock: Clock) -> None:
    del app
    with subscribed(notifier.notifier()) as notifications:
        notifier.notify()
        assert until(lambda: has_something(notifications))
        assert notifications.take()
        notifier.notify()
        assert until(lambda: has_something(notifications))
        assert notifications.patience == pytest.approx(0.005)
        assert not notifications.take()
        clock.now += 0.005
        assert taken_twice(notifications) == [True, False]


def test_a_lost_subscription_and_a_new_one_each_count_as_a_notification(
    app: Flask, redis: Redis, clock: Clock
) -> None:
    """Notifications in between would be missed."""
    del app
    with subscribed(notifier.notifier()) as notifications:
        clock.now += 0.5
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert until(lambda: has_something(notifications))
        assert not equip().transport._sockets.is_watching, "its number may be another file's by now"
        assert taken_twice(notifications) == [True, False]
        assert notifications.patience == 0.0
        drive(notifications)
        assert is_subscribed(redis)
        clock.now += 0.005
        assert taken_twice(notifications) == [True, False]
        assert notifications.patience == inf
    assert until(lambda: not is_subscribed(redis))


def test_without_redis_a_subscription_is_attempted_twice_a_second(app: Flask, clock: Clock) -> None:
    del app
    with subscribed(Notifier("unix:///nowhere/valkey.sock")) as notifications:
        for _ in range(2):
            drive(notifications)
            assert not notifications.take()
            assert notifications.patience == pytest.approx(0.5)
            clock.now += 0.5


class Hesitant(socketserver.BaseRequestHandler):
    """A Redis that greets all clients but doesn't answer subscriptions."""

    def handle(self) -> None:
        """Answer until the client hangs up."""
        while data := self.request.recv(4096):
            self.request.sendall(b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))


def test_an_unconfirmed_subscription_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "ANSWER_TIMEOUT", 0.05)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hesitant) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        heard = Notifier(f"redis://127.0.0.1:{server.server_address[1]}")
        assert heard.subscribe() is None
        heard.close()
        server.shutdown()
