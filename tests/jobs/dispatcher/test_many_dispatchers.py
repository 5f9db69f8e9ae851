"""Concurrent dispatchers send each delivery once and share the caps."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, select

from jobs.dispatcher import loop
from jobs.dispatcher.database import DatabaseExecutor
from portal.database.engine import impatient_engine
from portal.extensions import db, settings
from portal.models.deliveries import Lease
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.claim import Claim
from portal.services.outbox.sharding import ALL, own_sharding
from tests.jobs.dispatcher.running_sender import running_sender
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

pytestmark = pytest.mark.both_databases


def claim_on_its_own_connection(app: Flask, places: int, start: threading.Barrier) -> list[Claim]:
    """Claim as one of several dispatchers that start at the same moment."""
    with app.app_context():
        engine = impatient_engine(settings().database_url)
        writer = DatabaseExecutor(engine)
        start.wait(timeout=5)
        claims: list[list[Claim]] = []

        def try_once() -> bool:
            claimed = writer.write(lambda connection: dispatch_claim.claim(connection, places))
            if claimed is not None:
                claims.append(claimed)
            return claimed is not None

        assert until(try_once, 5)
        engine.dispose()
        return claims[0]


def claim_together(app: Flask, dispatchers: int) -> list[Claim]:
    start = threading.Barrier(dispatchers)
    with ThreadPoolExecutor(dispatchers) as pool:
        runs = [
            pool.submit(claim_on_its_own_connection, app, 100, start) for _ in range(dispatchers)
        ]
        return [claim for run in runs for claim in run.result(timeout=15)]


def test_no_delivery_is_claimed_twice(app: Flask) -> None:
    for _ in range(6):
        make_webhook()
    for number in range(5):
        publish(asset_id=number + 1)
    claims = claim_together(app, 4)
    assert max(Counter(claim.delivery_id for claim in claims).values()) == 1
    db.session.rollback()
    leased = db.session.execute(select(Lease.delivery_id)).scalars().all()
    assert sorted(leased) == sorted(claim.delivery_id for claim in claims)


def test_the_cap_of_a_webhook_holds_over_all_dispatchers(app: Flask) -> None:
    make_webhook()
    for number in range(30):
        publish(asset_id=number + 1)
    claims = claim_together(app, 4)
    assert len(claims) == settings().webhook_max_in_flight


WORKER = heartbeats.worker_of(DELIVERIES)


def see() -> None:
    with db.engine.connect() as connection:
        own_sharding.refresh(connection)


@pytest.fixture
def other(app: Flask, database_kind: str) -> Iterator[None]:
    """Add another sender, which this process knows through its own heartbeat."""
    if database_kind == "sqlite":
        pytest.skip("on SQLite nothing is sharded")
    with writing() as current:
        heartbeats.record_own(current.connection(), WORKER)
        heartbeats.record(current.connection(), WORKER, f"{WORKER} 2", run=uuid4())
    see()
    yield
    with writing() as current:
        current.execute(delete(Process))
    see()
    assert own_sharding.shard == ALL


@pytest.mark.usefixtures("other")
def test_a_sender_polls_in_time_for_deliveries_the_other_leaves(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_sharding.shard.senders == 2
    slow = replace(settings(), webhook_timeout=60, lease_margin=60)  # enough for a slow machine
    monkeypatch.setitem(app.extensions, "settings", slow)
    monkeypatch.setattr(loop, "POLL_EVERY", 3600.0)  # no other poll
    hooks = {number: make_webhook(f"{receiver.url}{number}") for number in range(2)}
    own = next(path for path, hook in hooks.items() if own_sharding.shard.has(hook.id))
    receiver.answer_next(delay=4.0)
    publish()
    with running_sender(app):
        assert until(lambda: len(receiver.answered) == 2, 30)
    assert [request.path for request in receiver.received] == [f"/{own}", f"/{1 - own}"]
    assert [request.path for request, _ in receiver.answered] == [f"/{1 - own}", f"/{own}"]
