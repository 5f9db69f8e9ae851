"""A sender that paused can have been presumed dead. Claims that it makes when it wakes up are its
own nevertheless."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from flask import Flask

from jobs.deliver import deliver_due
from jobs.dispatcher import loop
from jobs.dispatcher.database import DatabaseExecutor
from portal.database.engine import database_now
from portal.extensions import db
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import BROKEN_AFTER
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import maintenance
from portal.services.operations.readiness import Readiness
from tests.jobs.dispatcher.delivery_clock import claim, leases
from tests.jobs.dispatcher.test_dispatcher_steps import a_dispatcher
from tests.services.core.test_silent_processes import heard, pass_by
from tests.services.operations.test_readiness import Clock
from tests.support.factories import make_webhook, publish
from tests.support.heartbeats import record_own
from tests.support.receiver import Receiver

WORKER = heartbeats.worker_of(DELIVERIES)
MISSED = BROKEN_AFTER.total_seconds()


@pytest.fixture
def stand_still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that writes a heartbeat and lets this many seconds pass without another."""
    clock = Clock()
    readiness = Readiness(clock)
    readiness.begin()
    readiness.note(None)
    monkeypatch.setattr(loop, "readiness", readiness)

    def stand_still(seconds: float) -> None:
        record_own(WORKER)
        pass_by(seconds)
        clock.now += seconds

    return stand_still


def own_age() -> float:
    """Return the age of this process's heartbeat in seconds."""
    db.session.rollback()
    own = db.session.query(Process).filter_by(run=heartbeats.own_process()).one()
    return (database_now(db.session.connection()) - own.seen_at).total_seconds()


def test_only_a_late_process_writes_a_heartbeat_with_its_claims(
    app: Flask, receiver: Receiver, stand_still: Callable[[float], None]
) -> None:
    del app
    make_webhook(receiver.url)
    stand_still(MISSED - 1)
    publish()
    deliver_due()
    assert own_age() >= MISSED - 1
    stand_still(MISSED + 1)
    deliver_due()  # nothing is due, so no claim needs protection
    assert own_age() >= MISSED
    publish()
    deliver_due()
    assert own_age() < MISSED - 2
    assert len(receiver.received) == 2


@pytest.fixture
def others_judge(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes this process act as another one with regular heartbeats."""

    def judge() -> None:
        other = uuid4()
        heard(other)
        monkeypatch.setattr(heartbeats, "own_process", lambda: other)

    return judge


def under_way() -> int:
    """Count live leases."""
    now = database_now(db.session.connection())
    return sum(lease.until > now for lease in leases())


def test_claims_after_a_pause_stay_until_the_next_heartbeat(
    app: Flask,
    database: DatabaseExecutor,
    stand_still: Callable[[float], None],
    others_judge: Callable[[], None],
) -> None:
    make_webhook()
    publish()
    stand_still(20)
    with a_dispatcher() as dispatcher:
        assert len(database.write(dispatcher._claiming()) or ()) == 1
    others_judge()
    maintenance.maintain()
    assert under_way() == 1


def test_a_heartbeat_between_check_and_reclaim_keeps_the_leases(
    app: Flask, stand_still: Callable[[float], None], others_judge: Callable[[], None]
) -> None:
    make_webhook()
    publish()
    claim()
    stand_still(20)
    own = heartbeats.own_process()
    others_judge()
    assert maintenance.is_any_silent(db.session.connection())
    heard(own)
    with writing() as current:
        assert maintenance.reclaim_silent(current.connection()) == set()
    assert under_way() == 1
    pass_by(16)
    others_judge()
    with writing() as current:
        assert maintenance.reclaim_silent(current.connection()) == {own}
    assert under_way() == 0
