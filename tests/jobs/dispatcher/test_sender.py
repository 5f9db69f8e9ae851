"""The sender thread: its wake-ups, its own tasks, and its recovery."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import repeat

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError

from jobs.deliver import deliver_due, equip
from jobs.dispatcher import loop, thread
from jobs.periodic import maintain
from jobs.stop_flag import stop
from portal.extensions import db, settings
from portal.queue import notifier
from tests.jobs.dispatcher.delivery_clock import attempts, deliveries, leases
from tests.jobs.dispatcher.running_sender import running_sender
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Received, Receiver
from tests.support.servers import ValkeyServer

LONG = 10.0  # seconds, enough for a slow machine


@pytest.fixture
def redis(app: Flask, valkey_server: ValkeyServer) -> Redis:
    """Return a client of the notifier's Valkey."""
    return valkey_server.client()


def silence(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disconnect the notifier from Redis."""
    monkeypatch.setitem(
        app.extensions, "notifier", notifier.Notifier("unix:///nowhere/valkey.sock")
    )


def all_delivered() -> bool:
    """Return whether every delivery has succeeded."""
    return {delivery.status for delivery in deliveries()} == {"delivered"}


def test_without_a_notifier_the_sender_polls_the_table(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence(app, monkeypatch)
    make_webhook(receiver.url)
    with running_sender(app):
        for count in (1, 2, 3):
            publish()
            assert until(lambda count=count: len(receiver.received) == count)


def test_the_job_wakes_the_sender_and_returns_after_its_poll(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no notification and doesn't wait for the requests."""
    monkeypatch.setattr(loop, "POLL_EVERY", 3600.0)
    monkeypatch.setattr(thread, "POLL_SECONDS", LONG)
    job_has_ended = threading.Event()
    seen = []

    def hang(_received: Received) -> None:
        seen.append(job_has_ended.wait(LONG))

    with Receiver(answerer=hang) as receiver, running_sender(app):
        deliver_due()  # wait until it has begun
        silence(app, monkeypatch)
        make_webhook(receiver.url)
        publish()
        deliver_due()
        assert len(leases()) == 1
        job_has_ended.set()
        assert until(all_delivered, LONG)
    assert seen == [True]


def test_the_job_waits_half_a_second_at_most_for_a_full_sender(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(settings(), worker_max_in_flight=1, webhook_timeout=60)
    monkeypatch.setitem(app.extensions, "settings", small)
    has_come, job_has_ended, seen = threading.Event(), threading.Event(), []

    def hang(_received: Received) -> None:
        has_come.set()
        seen.append(job_has_ended.wait(LONG))

    with Receiver(answerer=hang) as receiver, running_sender(app):
        make_webhook(receiver.url)
        publish()
        assert has_come.wait(LONG)
        deliver_due()
        job_has_ended.set()
    assert seen == [True]


def test_a_sleeping_sender_stops_at_once(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "POLL_EVERY", 3600.0)
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), maintenance_seconds=3600))
    with running_sender(app) as sender:
        assert "sender" in {thread.name for thread in threading.enumerate()}
        for _ in range(2):
            deliver_due()
        time.sleep(0.3)  # time to fall asleep
        stop.set()
        sender.join(LONG)
        assert not sender.is_alive


@contextmanager
def looks_that_take(seconds: Iterator[float]) -> Iterator[list[float]]:
    """Delay each poll by the next of these seconds, and later polls not at all. Yield the monotonic
    times at which polls ended."""
    ended: list[float] = []
    engine = equip().engine

    def be_slow(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "due_1" in statement:
            time.sleep(next(seconds, 0))
            ended.append(time.monotonic())

    event.listen(engine, "after_cursor_execute", be_slow)
    try:
        yield ended
    finally:
        event.remove(engine, "after_cursor_execute", be_slow)


def test_an_idle_sender_polls_twice_a_second(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "POLL_SHARE", 0)  # a busy machine polls less often
    with running_sender(app):
        for _ in range(2):  # the first poll takes long
            deliver_due()
        with looks_that_take(repeat(0)) as ended:
            assert until(lambda: len(ended) >= 4, LONG)
    # The first poll can still belong to the notifications above.
    assert ended[3] - ended[1] >= 1.0


def test_after_an_internal_error_the_next_dispatcher_sends_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(thread, "FIRST_PAUSE", 0.1)
    slow = replace(settings(), webhook_timeout=60, lease_margin=60)
    monkeypatch.setitem(app.extensions, "settings", slow)
    transport, is_first = equip().transport, iter([True])

    def fail(_wait: float) -> None:
        del transport.drive
        raise RuntimeError("the lamp is broken")

    def break_it(_received: Received) -> None:
        if next(is_first, False):
            transport.drive = fail  # type: ignore[method-assign,assignment]
            time.sleep(1)

    with Receiver(answerer=break_it) as receiver:
        make_webhook(receiver.url)
        publish()
        with running_sender(app):
            assert until(lambda: len(receiver.received) == 2, LONG)
            assert until(all_delivered, LONG)
    assert [attempt.outcome for attempt in attempts()] == ["interrupted", "delivered"]
    assert "the lamp is broken" in caplog.text


@contextmanager
def losing_the_answer(leases: int) -> Iterator[list[str]]:
    """Carry out the first commit that leaves this many leases, but raise a connection error."""
    engine = equip().engine
    lost: list[str] = []

    def lose(connection: Connection) -> None:
        counted = connection.execute(text("SELECT count(*) FROM leases")).scalar_one()
        if not lost and counted == leases:
            lost.append("COMMIT")
            connection.exec_driver_sql("COMMIT")
            raise OperationalError("COMMIT", {}, ConnectionResetError("the road is gone"))

    event.listen(engine, "commit", lose)
    yield lost
    event.remove(engine, "commit", lose)
    assert lost


@pytest.fixture
def long_leases(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set leases of 90 seconds, the default."""
    usual = replace(settings(), webhook_timeout=30, lease_margin=60)
    monkeypatch.setitem(app.extensions, "settings", usual)


@pytest.mark.usefixtures("long_leases")
def test_requests_in_flight_are_not_released_after_a_lost_answer(
    app: Flask, receiver: Receiver
) -> None:
    receiver.answer_next(delay=3)
    make_webhook(receiver.url)
    publish(asset_id=1)
    with losing_the_answer(leases=2), running_sender(app):
        assert until(lambda: len(receiver.received) == 1, LONG)
        publish(asset_id=2)
        assert until(all_delivered, LONG)
    assert len(receiver.received) == 2
    assert [attempt.outcome for attempt in attempts()] == ["delivered"] * 2


def test_a_sender_writes_a_heartbeat_before_it_claims(app: Flask, receiver: Receiver) -> None:
    """Leases of a process without a heartbeat have no owner."""
    make_webhook(receiver.url)
    publish()
    signed: list[list[str]] = []
    engine = equip().engine

    def look(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "INTO leases" in statement:
            rows = connection.exec_driver_sql("SELECT kind FROM processes WHERE run IS NOT NULL")
            signed.append(list(rows.scalars()))

    event.listen(engine, "after_cursor_execute", look)
    try:
        with running_sender(app):
            assert until(all_delivered, LONG)
    finally:
        event.remove(engine, "after_cursor_execute", look)
    assert signed
    assert all(kinds == ["worker deliveries"] for kinds in signed)


def test_the_maintenance_job_leaves_everything_to_the_sender(app: Flask) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    with running_sender(app):
        event.listen(db.engine, "before_cursor_execute", note)
        maintain()
        event.remove(db.engine, "before_cursor_execute", note)
    assert asked == []
