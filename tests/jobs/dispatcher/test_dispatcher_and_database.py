"""While the database is locked or gone, requests continue and no result is lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Connection, ExceptionContext, create_engine, event, text, update

from jobs.deliver import deliver_due, equip
from jobs.dispatcher import loop, result_batches
from portal.database.engine import database_now, engine_options, prepare_engine
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, Delivery, Lease
from portal.services.core import heartbeats
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Received, Receiver

pytestmark = pytest.mark.both_databases


@pytest.fixture
def locked(app: Flask) -> "Locker":
    """Return a thread that locks the deliveries from another connection."""
    return Locker(settings().database_url)


class Locker(threading.Thread):
    """A thread that holds the write lock (SQLite) or the tables (PostgreSQL) for `seconds`."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.seconds, self.is_locked = url, 1.5, threading.Event()

    def work(self, _writer: Connection) -> None:
        """Wait while the lock is held."""
        time.sleep(self.seconds)

    def run(self) -> None:
        engine = create_engine(self.url, **engine_options(self.url))
        prepare_engine(engine)
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin():
                if engine.dialect.name == "postgresql":
                    writer.execute(text("LOCK TABLE deliveries, webhooks IN EXCLUSIVE MODE"))
                self.is_locked.set()
                self.work(writer)
        engine.dispose()


class Outage(Locker):
    """A lock that lasts until `is_over` returns true and outlasts every lease."""

    def __init__(self, url: str, is_over: Callable[[], bool]) -> None:
        super().__init__(url)
        self.is_over = is_over

    def work(self, writer: Connection) -> None:
        """Wait until the outage is over, then end all leases."""
        assert until(self.is_over)
        past = database_now(writer) - timedelta(seconds=1)
        writer.execute(update(Lease).values(until=past))


def test_results_wait_for_a_locked_database(
    receiver: Receiver, locked: Locker, caplog: pytest.LogCaptureFixture
) -> None:
    make_webhook(receiver.url)
    receiver.answer(delay=0.3)
    publish()
    threading.Timer(0.15, locked.start).start()
    deliver_due()
    locked.join(timeout=5)
    db.session.rollback()
    (delivery,) = db.session.query(Delivery)
    assert (delivery.status, delivery.attempts) == ("delivered", 1)
    assert len(receiver.received) == 1
    assert [attempt.outcome for attempt in db.session.query(Attempt)] == ["delivered"]
    assert "takes results again" not in caplog.text, "that is said of long outages"


def test_a_wake_up_is_not_lost_on_a_locked_database(receiver: Receiver, locked: Locker) -> None:
    make_webhook(receiver.url)
    publish()
    locked.start()
    assert locked.is_locked.wait(timeout=5)
    deliver_due()
    locked.join(timeout=5)
    assert len(receiver.received) == 1


def test_a_slow_claim_is_released_unsent(
    app: Flask,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Other senders can have presumed this process dead and sent its deliveries."""
    del app
    assert heartbeats.SILENT_AFTER.total_seconds() >= 3 * loop.FRESH
    monkeypatch.setattr(loop, "FRESH", fresh := 2.0)
    make_webhook(receiver.url)
    publish()
    stalls = iter([fresh + 0.1])

    def stall(_connection: Connection) -> None:
        time.sleep(next(stalls, 0))

    engine = equip().engine
    event.listen(engine, "commit", stall)
    try:
        deliver_due()
    finally:
        event.remove(engine, "commit", stall)
    assert caplog.messages == ["Claiming took too long. Released 1 deliveries."]
    db.session.rollback()
    (delivery,) = db.session.query(Delivery)
    assert (delivery.status, delivery.attempts, delivery.tries) == ("delivered", 1, 1)
    assert len(receiver.received) == 1
    (only,) = db.session.query(Attempt)
    assert (only.number, only.outcome) == (1, "delivered")
    arrived = utcnow() - timedelta(seconds=time.monotonic() - receiver.received[0].at)
    assert arrived - only.started_at < timedelta(seconds=fresh)


def test_a_hanging_poll_does_not_time_out_a_response(app: Flask, receiver: Receiver) -> None:
    """On PostgreSQL, a cut path can hang for 15 seconds. Requests continue meanwhile."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("there nothing hangs for longer than 100 ms")
    engine, transport = equip().engine, equip().transport
    hangs = iter([3.0])  # longer than the request timeout

    def hang(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "due_1" in statement and transport.in_flight:
            time.sleep(next(hangs, 0))

    make_webhook(receiver.url)
    receiver.answer(delay=1.0)  # the next poll comes before the response
    publish()
    event.listen(engine, "before_cursor_execute", hang)
    try:
        deliver_due()
    finally:
        event.remove(engine, "before_cursor_execute", hang)
    assert next(hangs, None) is None
    db.session.rollback()
    assert [attempt.outcome for attempt in db.session.query(Attempt)] == ["delivered"]
    assert len(receiver.received) == 1


def test_results_outlast_leases_that_expire_during_an_outage(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dispatcher records its pending results before it claims, so no delivery is sent again."""
    monkeypatch.setattr(result_batches, "RESULTS_A_WRITE", 1)
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), webhook_timeout=10))
    refused: list[object] = []
    engine, transport = equip().engine, equip().transport
    # Lasts until three responses have come and the database has refused their results.
    outage = Outage(settings().database_url, lambda: bool(refused) and not transport.in_flight)

    def begin_outage(_received: Received) -> None:
        if outage.ident is None:
            outage.start()
            assert outage.is_locked.wait(timeout=5)

    def note(context: ExceptionContext) -> None:
        if not transport.in_flight:
            refused.append(context)

    event.listen(engine, "handle_error", note)
    try:
        with Receiver(answerer=begin_outage) as receiver:
            make_webhook(receiver.url)
            for number in range(3):
                publish(asset_id=number + 1)
            deliver_due()
            outage.join(timeout=20)
            assert len(receiver.received) == 3
    finally:
        event.remove(engine, "handle_error", note)
    assert refused
    db.session.rollback()
    ends = {(row.status, row.attempts, row.tries) for row in db.session.query(Delivery)}
    assert ends == {("delivered", 1, 1)}
