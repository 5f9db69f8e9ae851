"""A sender that has nothing to send hears the bell by a subscription: no job is queued for it."""

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
from jobs.dispatcher import bell_listener, poller
from jobs.dispatcher.bell_listener import BellListener
from portal.queue import bell
from portal.queue.bell import Bell
from portal.queue.names import DELIVERIES
from portal.queue.redis_state import quick_client
from tests.jobs.outage import Clock
from tests.jobs.sender.running_sender import running_sender
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import ValkeyServer

LONG = 60.0


@pytest.fixture
def only_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is not looked at by itself."""
    monkeypatch.setattr(poller, "LOOK_EVERY", LONG)


@pytest.fixture
def redis(app: Flask, valkey_server: ValkeyServer) -> Redis:
    """The Valkey in which the bell rings."""
    return Redis.from_url(valkey_server.url)


def queued(redis: Redis) -> int:
    """How many jobs wait to be picked up."""
    return Queue(DELIVERIES, connection=redis).count


def is_subscribed(redis: Redis) -> bool:
    """Whether somebody hears the bell."""
    return len(redis.client_list(_type="pubsub")) == 1


@pytest.mark.usefixtures("only_the_bell")
def test_a_message_needs_no_job_and_no_look_at_the_table(app: Flask, redis: Redis) -> None:
    with Receiver() as receiver, running_sender(app):
        make_webhook(receiver.url)
        assert until(lambda: bool(redis.exists(bell.AWAKE)))
        assert until(lambda: is_subscribed(redis))
        for count in (1, 2, 3):
            publish()
            assert until(lambda count=count: len(receiver.received) == count)
        assert queued(redis) == 0


def test_a_dispatcher_that_is_late_by_three_of_its_turns_is_still_awake(
    app: Flask, redis: Redis
) -> None:
    del app
    bell.bell().stay_awake()
    assert redis.exists(bell.AWAKE)
    assert bell.AWAKE_SECONDS >= 4 * bell_listener.AWAKE_EVERY


def test_a_ring_is_told_once_and_silence_is_no_ring(app: Flask) -> None:
    transport = equip().transport
    listener = bell_listener.BellListener(bell.bell(), transport)

    def rang() -> bool:
        transport.drive(bell_listener.BELL_EVERY)
        listener.note()
        return listener.has_rung()

    listener.begin()
    try:
        assert not rang()
        bell.bell().ring()
        assert until(rang)
        assert not rang()
    finally:
        listener.end()


def test_whatever_rang_before_a_look_is_told_by_it(app: Flask) -> None:
    del app
    watch = bell.bell().watch()
    assert watch is not None
    for count in (1, 2, 3):
        bell.bell().ring()
        assert bell.bell().count() == count
    assert [watch.has_rung() for _ in range(2)] == [True, False]
    watch.close()


def test_who_says_that_it_is_awake_says_so_again_in_time_and_who_sleeps_waits_for_the_bell(
    app: Flask,
) -> None:
    listener = bell_listener.BellListener(bell.bell(), equip().transport)
    listener.begin()
    try:
        assert listener.patience(is_awake=True) == inf
        listener.stay_awake()
        assert 0 < listener.patience(is_awake=True) <= bell_listener.AWAKE_EVERY
        listener.fall_asleep()
        assert listener.patience(is_awake=True) == inf
    finally:
        listener.end()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    turned = Clock()
    monkeypatch.setattr(bell_listener, "monotonic", turned.monotonic)
    return turned


@contextmanager
def listening(heard: Bell) -> Iterator[BellListener]:
    listener = BellListener(heard, equip().transport)
    listener.begin()
    try:
        yield listener
    finally:
        listener.end()
        assert not equip().transport._sockets.is_watching


def lose_the_subscription(listener: BellListener, redis: Redis) -> None:
    assert listener.patience(is_awake=True) == inf
    redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def is_lost() -> bool:
        equip().transport.drive(bell_listener.BELL_EVERY)
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
        assert bell.BellWatch(Broken()).has_rung() is None


def asked_twice(listener: BellListener) -> list[bool]:
    return [listener.has_rung() for _ in range(2)]


def test_who_has_heard_the_bell_waits_no_longer_than_it_may_stay_awake(
    app: Flask, clock: Clock
) -> None:
    del app
    with listening(bell.bell()) as listener:
        listener.stay_awake()
        clock.now += bell_listener.AWAKE_EVERY - 0.001
        for _ in range(2):
            bell.bell().ring()
            equip().transport.drive(LONG)
            listener.note()
            rung = listener.has_rung()
        assert (rung, listener.patience(is_awake=True)) == (False, pytest.approx(0.001))


def test_many_rings_in_a_moment_are_one(app: Flask, clock: Clock) -> None:
    del app

    def has_heard() -> bool:
        equip().transport.drive(bell_listener.BELL_EVERY)
        listener.note()
        return listener.patience(is_awake=True) < inf

    with listening(bell.bell()) as listener:
        bell.bell().ring()
        assert until(has_heard)
        assert listener.patience(is_awake=True) == 0.0
        assert listener.has_rung()
        bell.bell().ring()
        assert until(has_heard)
        assert listener.patience(is_awake=True) == pytest.approx(0.005)
        assert not listener.has_rung()
        clock.now += 0.005
        assert asked_twice(listener) == [True, False]


def test_without_a_subscription_the_bell_is_asked_twenty_times_a_second(
    app: Flask, redis: Redis, clock: Clock
) -> None:
    del app

    with listening(bell.bell()) as listener:
        lose_the_subscription(listener, redis)
        assert listener.patience(is_awake=True) == 0.0
        assert asked_twice(listener) == [True, False], "it may have rung meanwhile"
        clock.now += 0.05
        assert asked_twice(listener) == [False, False]
        bell.bell().ring()
        assert asked_twice(listener) == [False, False]
        assert listener.patience(is_awake=True) == pytest.approx(0.05)
        clock.now += 0.05
        assert asked_twice(listener) == [True, False]


def test_who_never_could_subscribe_is_told_of_each_ring_and_of_nothing_else(
    app: Flask, redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    monkeypatch.setattr(bell, "QUIET_SECONDS", 0.0)
    redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        with listening(bell.bell()) as listener:
            assert asked_twice(listener) == [False, False]
            bell.bell().ring()
            clock.now += 0.05
            assert asked_twice(listener) == [True, False]
    finally:
        redis.execute_command("ACL", "SETUSER", "default", "allchannels")


def test_a_bell_that_does_not_answer_is_not_waited_for(clock: Clock, app: Flask) -> None:
    del app
    with listening(Bell("unix:///nowhere/valkey.sock")) as listener:
        assert listener.patience(is_awake=True) == inf
        assert not listener.has_rung()
        listener.stay_awake()
        assert listener.patience(is_awake=True) == pytest.approx(0.5)
        clock.now += 0.5 + 1
        assert listener.patience(is_awake=True) == 0.0


def test_it_says_twice_a_second_that_it_is_awake_and_subscribes_again_by_the_way(
    app: Flask, redis: Redis, clock: Clock
) -> None:
    del app

    def says_so() -> bool:
        redis.delete(bell.AWAKE)
        listener.stay_awake()
        assert listener.is_awake
        return bool(redis.exists(bell.AWAKE))

    with listening(bell.bell()) as listener:
        assert not listener.is_awake
        assert [says_so() for _ in range(2)] == [True, False]
        listener.fall_asleep()
        assert not listener.is_awake
        assert [says_so() for _ in range(2)] == [True, False]
        clock.now += 0.5
        assert says_so()
        assert not listener.has_rung()
        listener.fall_asleep()
        assert not redis.exists(bell.AWAKE)
        lose_the_subscription(listener, redis)
        assert listener.has_rung()
        assert not is_subscribed(redis)
        clock.now += 0.05
        assert says_so()
        assert is_subscribed(redis)
        assert asked_twice(listener) == [True, False]
    assert until(lambda: not is_subscribed(redis))


@pytest.mark.usefixtures("only_the_bell")
def test_a_subscription_that_is_lost_is_made_again(app: Flask, redis: Redis) -> None:
    with Receiver() as receiver:
        make_webhook(receiver.url)
        with running_sender(app):
            for count in (1, 2, 3):
                assert until(lambda: is_subscribed(redis))
                redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                publish()
                assert until(lambda count=count: len(receiver.received) == count)


@pytest.mark.usefixtures("only_the_bell")
def test_who_may_not_subscribe_asks_for_the_bells_number(
    app: Flask, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell_listener, "AWAKE_EVERY", LONG)
    with Receiver() as receiver, running_sender(app):
        make_webhook(receiver.url)
        assert until(lambda: is_subscribed(redis))
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert until(lambda: not is_subscribed(redis))
        publish()
        assert until(lambda: len(receiver.received) == 1)
        assert not is_subscribed(redis)


def test_whoever_may_not_publish_rings_all_the_same(app: Flask, redis: Redis) -> None:
    redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        before = bell.bell().count()
        make_webhook()
        publish()
        assert bell.bell().count() == (before or 0) + 1
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
    monkeypatch.setattr(bell, "ANSWER_TIMEOUT", 0.05)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hesitant) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with quick_client(f"redis://127.0.0.1:{server.server_address[1]}") as redis:
            assert bell.watch(redis, bell.BELL) is None
        server.shutdown()
