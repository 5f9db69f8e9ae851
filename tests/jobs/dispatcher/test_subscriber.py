"""A sender that has nothing to send hears the notifier by a subscription: no job is queued for
it."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from errno import EBADF
from math import inf
from types import SimpleNamespace

import pytest
from flask import Flask
from redis import Redis
from rq import Queue

from jobs.deliver import equip
from jobs.dispatcher import poller, subscriber
from jobs.dispatcher.subscriber import Subscriber
from portal.queue import notifier
from portal.queue.names import DELIVERIES
from portal.queue.notifier import Notifier
from portal.queue.redis_state import quick_client
from tests.jobs.dispatcher.running_sender import running_sender
from tests.jobs.outage import Clock
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import ValkeyServer

LONG = 60.0


@pytest.fixture
def only_the_notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is not looked at by itself."""
    monkeypatch.setattr(poller, "LOOK_EVERY", LONG)


@pytest.fixture
def redis(app: Flask, valkey_server: ValkeyServer) -> Redis:
    """The Valkey in which the notifier notifies."""
    return Redis.from_url(valkey_server.url)


def queued(redis: Redis) -> int:
    """How many jobs wait to be picked up."""
    return Queue(DELIVERIES, connection=redis).count


def is_subscribed(redis: Redis) -> bool:
    """Whether somebody hears the notifier."""
    return len(redis.client_list(_type="pubsub")) == 1


@pytest.mark.usefixtures("only_the_notifier")
def test_a_message_needs_no_job_and_no_look_at_the_table(app: Flask, redis: Redis) -> None:
    with Receiver() as receiver, running_sender(app):
        make_webhook(receiver.url)
        assert until(lambda: bool(redis.exists(notifier.AWAKE)))
        assert until(lambda: is_subscribed(redis))
        for count in (1, 2, 3):
            publish()
            assert until(lambda count=count: len(receiver.received) == count)
        assert queued(redis) == 0


def test_a_dispatcher_that_is_late_by_three_of_its_turns_is_still_awake(
    app: Flask, redis: Redis
) -> None:
    del app
    notifier.notifier().stay_awake()
    assert redis.exists(notifier.AWAKE)
    assert notifier.AWAKE_SECONDS >= 4 * subscriber.AWAKE_EVERY


def test_a_notification_is_told_once_and_silence_is_no_notification(app: Flask) -> None:
    transport = equip().transport
    listener = subscriber.Subscriber(notifier.notifier(), transport)

    def was_notified() -> bool:
        transport.drive(subscriber.NOTIFY_EVERY)
        listener.note()
        return listener.was_notified()

    listener.begin()
    try:
        assert not was_notified()
        notifier.notifier().notify()
        assert until(was_notified)
        assert not was_notified()
    finally:
        listener.end()


def test_whatever_was_notified_before_a_look_is_told_by_it(app: Flask) -> None:
    del app
    watch = notifier.notifier().watch()
    assert watch is not None
    for count in (1, 2, 3):
        notifier.notifier().notify()
        assert notifier.notifier().count() == count
    assert [watch.was_notified() for _ in range(2)] == [True, False]
    watch.close()


def test_who_says_that_it_is_awake_says_so_again_in_time_and_who_sleeps_waits_for_the_notifier(
    app: Flask,
) -> None:
    listener = subscriber.Subscriber(notifier.notifier(), equip().transport)
    listener.begin()
    try:
        assert listener.patience(is_awake=True) == inf
        listener.stay_awake()
        assert 0 < listener.patience(is_awake=True) <= subscriber.AWAKE_EVERY
        listener.fall_asleep()
        assert listener.patience(is_awake=True) == inf
    finally:
        listener.end()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr(subscriber, "monotonic", turned.monotonic)
    return turned


@contextmanager
def listening(heard: Notifier) -> Iterator[Subscriber]:
    listener = Subscriber(heard, equip().transport)
    listener.begin()
    try:
        yield listener
    finally:
        listener.end()
        assert not equip().transport._sockets.is_watching


def lose_the_subscription(listener: Subscriber, redis: Redis) -> None:
    assert listener.patience(is_awake=True) == inf
    redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def is_lost() -> bool:
        equip().transport.drive(subscriber.NOTIFY_EVERY)
        listener.note()
        return listener.patience(is_awake=True) < inf

    assert until(is_lost)
    assert not equip().transport._sockets.is_watching, "its number may be another file's by now"


def test_an_error_of_the_system_is_a_lost_subscription_too() -> None:
    class Broken:
        """The library passes on as they are what some systems say of a socket that is gone."""

        connection = SimpleNamespace(_sock=socket.socket())

        def get_message(self) -> None:
            raise OSError(EBADF, "Bad file descriptor")

    with closing(Broken.connection._sock):
        assert notifier.Subscription(Broken()).was_notified() is None


def asked_twice(listener: Subscriber) -> list[bool]:
    return [listener.was_notified() for _ in range(2)]


def test_who_has_heard_the_notifier_waits_no_longer_than_it_may_stay_awake(
    app: Flask, clock: Clock
) -> None:
    del app
    with listening(notifier.notifier()) as listener:
        listener.stay_awake()
        clock.now += subscriber.AWAKE_EVERY - 0.001
        for _ in range(2):
            notifier.notifier().notify()
            equip().transport.drive(LONG)
            listener.note()
            notified = listener.was_notified()
        assert (notified, listener.patience(is_awake=True)) == (False, pytest.approx(0.001))


def test_many_notifies_in_a_moment_are_one(app: Flask, clock: Clock) -> None:
    del app

    def has_heard() -> bool:
        equip().transport.drive(subscriber.NOTIFY_EVERY)
        listener.note()
        return listener.patience(is_awake=True) < inf

    with listening(notifier.notifier()) as listener:
        notifier.notifier().notify()
        assert until(has_heard)
        assert listener.patience(is_awake=True) == 0.0
        assert listener.was_notified()
        notifier.notifier().notify()
        assert until(has_heard)
        assert listener.patience(is_awake=True) == pytest.approx(0.005)
        assert not listener.was_notified()
        clock.now += 0.005
        assert asked_twice(listener) == [True, False]


def test_without_a_subscription_the_notifier_is_asked_twenty_times_a_second(
    app: Flask, redis: Redis, clock: Clock
) -> None:
    del app

    with listening(notifier.notifier()) as listener:
        lose_the_subscription(listener, redis)
        assert listener.patience(is_awake=True) == 0.0
        assert asked_twice(listener) == [True, False], "it may have notified meanwhile"
        clock.now += 0.05
        assert asked_twice(listener) == [False, False]
        notifier.notifier().notify()
        assert asked_twice(listener) == [False, False]
        assert listener.patience(is_awake=True) == pytest.approx(0.05)
        clock.now += 0.05
        assert asked_twice(listener) == [True, False]


def test_who_never_could_subscribe_is_told_of_each_notification_and_of_nothing_else(
    app: Flask, redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    monkeypatch.setattr(notifier, "QUIET_SECONDS", 0.0)
    redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        with listening(notifier.notifier()) as listener:
            assert asked_twice(listener) == [False, False]
            notifier.notifier().notify()
            clock.now += 0.05
            assert asked_twice(listener) == [True, False]
    finally:
        redis.execute_command("ACL", "SETUSER", "default", "allchannels")


def test_a_notifier_that_does_not_answer_is_not_waited_for(clock: Clock, app: Flask) -> None:
    del app
    with listening(Notifier("unix:///nowhere/valkey.sock")) as listener:
        assert listener.patience(is_awake=True) == inf
        assert not listener.was_notified()
        listener.stay_awake()
        assert listener.patience(is_awake=True) == pytest.approx(0.5)
        clock.now += 0.5 + 1
        assert listener.patience(is_awake=True) == 0.0


def test_it_says_twice_a_second_that_it_is_awake_and_subscribes_again_by_the_way(
    app: Flask, redis: Redis, clock: Clock
) -> None:
    del app

    def says_so() -> bool:
        redis.delete(notifier.AWAKE)
        listener.stay_awake()
        assert listener.is_awake
        return bool(redis.exists(notifier.AWAKE))

    with listening(notifier.notifier()) as listener:
        assert not listener.is_awake
        assert [says_so() for _ in range(2)] == [True, False]
        listener.fall_asleep()
        assert not listener.is_awake
        assert [says_so() for _ in range(2)] == [True, False]
        clock.now += 0.5
        assert says_so()
        assert not listener.was_notified()
        listener.fall_asleep()
        assert not redis.exists(notifier.AWAKE)
        lose_the_subscription(listener, redis)
        assert listener.was_notified()
        assert not is_subscribed(redis)
        clock.now += 0.05
        assert says_so()
        assert is_subscribed(redis)
        assert asked_twice(listener) == [True, False]
    assert until(lambda: not is_subscribed(redis))


@pytest.mark.usefixtures("only_the_notifier")
def test_a_subscription_that_is_lost_is_made_again(app: Flask, redis: Redis) -> None:
    with Receiver() as receiver:
        make_webhook(receiver.url)
        with running_sender(app):
            for count in (1, 2, 3):
                assert until(lambda: is_subscribed(redis))
                redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                publish()
                assert until(lambda count=count: len(receiver.received) == count)


@pytest.mark.usefixtures("only_the_notifier")
def test_who_may_not_subscribe_asks_for_the_bells_number(
    app: Flask, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "AWAKE_EVERY", LONG)
    with Receiver() as receiver, running_sender(app):
        make_webhook(receiver.url)
        assert until(lambda: is_subscribed(redis))
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert until(lambda: not is_subscribed(redis))
        publish()
        assert until(lambda: len(receiver.received) == 1)
        assert not is_subscribed(redis)


def test_whoever_may_not_publish_notifies_all_the_same(app: Flask, redis: Redis) -> None:
    redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        before = notifier.notifier().count()
        make_webhook()
        publish()
        assert notifier.notifier().count() == (before or 0) + 1
        assert queued(redis) == 1
    finally:
        redis.execute_command("ACL", "SETUSER", "default", "allchannels")


class Hesitant(socketserver.BaseRequestHandler):
    """A Redis that greets everybody, and says nothing to who subscribes."""

    def handle(self) -> None:
        """Until the other one hangs up."""
        while data := self.request.recv(4096):
            self.request.sendall(b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))


def test_a_subscription_that_nobody_confirms_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "ANSWER_TIMEOUT", 0.05)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hesitant) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with quick_client(f"redis://127.0.0.1:{server.server_address[1]}") as redis:
            assert notifier.watch(redis, notifier.CHANNEL) is None
        server.shutdown()
