"""A dispatcher leaves a part of what is due to another process, and sends it when that one does
not."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import delete

from jobs.dispatcher import loop
from portal.extensions import db, settings
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from portal.services.outbox.sharding import ALL, own_sharding
from tests.jobs.dispatcher.running_sender import running_sender
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

pytestmark = pytest.mark.both_databases

WORKER = heartbeats.worker_of(DELIVERIES)


def see() -> None:
    with db.engine.connect() as connection:
        own_sharding.refresh(connection)


@pytest.fixture
def other(app: Flask, database_kind: str) -> Iterator[None]:
    """Another process that sends; this one knows of it by its own beat."""
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
def test_it_polls_again_in_time_for_what_the_other_leaves_lying(
    app: Flask, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_sharding.shard.senders == 2
    slow = replace(settings(), webhook_timeout=60, lease_margin=60)  # however slow the machine is
    monkeypatch.setitem(app.extensions, "settings", slow)
    monkeypatch.setattr(loop, "POLL_EVERY", 3600.0)  # nothing else has it look
    hooks = {number: make_webhook(f"{receiver.url}{number}") for number in range(2)}
    own = next(path for path, each in hooks.items() if own_sharding.shard.has(each.id))
    receiver.answer_next(delay=4.0)
    publish()
    with running_sender(app):
        assert until(lambda: len(receiver.answered) == 2, 30)
    assert [each.path for each in receiver.received] == [f"/{own}", f"/{1 - own}"]
    assert [each.path for each, _ in receiver.answered] == [f"/{1 - own}", f"/{own}"]
