"""A webhook whose row is locked for long delays only its own deliveries.

PostgreSQL only, because SQLite has one lock for all rows.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread

import pytest
from flask import Flask
from sqlalchemy import Connection, create_engine, func, select, update

from jobs.deliver import deliver_due, equip
from jobs.dispatcher import loop, result_batches
from jobs.stop_flag import stop
from portal.database.engine import database_now, engine_options
from portal.extensions import db, settings
from portal.models.deliveries import Delivery, DeliveryStatus, Lease
from portal.models.webhooks import Webhook
from tests.jobs.dispatcher.running_sender import running_sender
from tests.jobs.outage import refused
from tests.support.factories import Hook, make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def rows_can_be_locked(database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite locks no rows")


@contextmanager
def locked(hook: Hook) -> Iterator[Connection]:
    """Hold a lock on the webhook's row in another transaction."""
    engine = create_engine(settings().database_url, **engine_options(settings().database_url))
    with engine.connect() as connection, connection.begin():
        row = select(Webhook.id).where(Webhook.id == hook.id)
        connection.execute(row.with_for_update(key_share=True))
        yield connection
    engine.dispose()


@contextmanager
def pumping(app: Flask) -> Iterator[Thread]:
    """Run a dispatcher in another thread."""

    def run() -> None:
        with app.app_context():
            deliver_due()

    thread = Thread(target=run)
    thread.start()
    yield thread
    thread.join(30)
    assert not thread.is_alive()


def delivered(hook: Hook) -> int:
    db.session.rollback()
    return db.session.execute(
        select(func.count()).where(
            Delivery.webhook_id == hook.id, Delivery.status == DeliveryStatus.DELIVERED
        )
    ).scalar_one()


def test_other_webhooks_are_claimed_and_recorded_meanwhile(app: Flask, receiver: Receiver) -> None:
    receiver.answer(delay=0.3)
    first, second = make_webhook(f"{receiver.url}1"), make_webhook(f"{receiver.url}2")
    publish()
    with pumping(app):
        assert until(lambda: len(receiver.received) == 2)
        with locked(first):
            for number in range(30):  # more than the second webhook has slots
                publish(asset_id=number + 2)
            assert until(lambda: delivered(second) == 31)
            assert delivered(first) == 0
        assert until(lambda: delivered(first) == 31)
    assert len(receiver.received) == 62


def test_an_arrived_delivery_is_not_sent_again_after_its_lease_expired(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the dispatcher polls before it records its pending results."""
    monkeypatch.setattr(result_batches, "FLUSH_AFTER", 2.0)
    receiver.answer(delay=0.3)
    first, second = make_webhook(f"{receiver.url}1"), make_webhook(f"{receiver.url}2")
    publish()
    with pumping(app):
        assert until(lambda: len(receiver.received) == 2)
        with locked(first) as theirs:
            assert until(lambda: delivered(second) == 1)
            assert until(lambda: len(receiver.answered) == 2)
            past = database_now(theirs) - timedelta(seconds=1)
            theirs.execute(update(Lease).values(until=past))
            theirs.commit()
        assert until(lambda: delivered(first) == 1)
    assert len(receiver.received) == 2


def test_a_stopping_worker_does_not_wait_forever_for_a_lock(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LAST_RECORD", 0.5)
    receiver.answer(delay=0.3)
    hook = make_webhook(receiver.url)
    publish()
    try:
        with pumping(app) as thread:
            assert until(lambda: len(receiver.received) == 1)
            with locked(hook):
                assert until(lambda: len(receiver.answered) == 1)
                stop.set()
                thread.join(30)
        assert delivered(hook) == 0
        assert db.session.execute(select(func.count(Lease.delivery_id))).scalar_one() == 1
    finally:
        stop.clear()


MOST = 60  # rounds in a second, in which it polls 20 times at most


def test_the_loop_does_not_spin_while_the_database_is_down(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "POLL_EVERY", 0.05)
    monkeypatch.setattr(loop, "POLL_SHARE", 0)
    transport, rounds = equip().transport, []
    drive = transport.drive

    def count(patience: float) -> object:
        rounds.append(patience)
        return drive(patience)

    with running_sender(app):
        deliver_due()  # wait until it has begun
        with refused():
            time.sleep(0.3)
            monkeypatch.setattr(transport, "drive", count)
            assert until(lambda: bool(rounds))
            rounds.clear()
            began = time.monotonic()
            time.sleep(0.5)
            most, many = MOST * (time.monotonic() - began), len(rounds)
            monkeypatch.undo()
    assert many <= most
