"""Several sender processes divide a backlog, and no delivery waits for long because of it."""

from datetime import timedelta
from itertools import chain
from time import monotonic
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import Connection, delete, update

from portal.database.engine import database_now
from portal.models.deliveries import Delivery, Priority
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.outbox import sharding
from portal.services.outbox.claimable import find_due
from portal.services.outbox.sharding import Sharding
from tests.jobs.dispatcher.delivery_clock import ask_for_retry, deliveries
from tests.jobs.outage import Clock
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook, publish

WORKER = heartbeats.worker_of(DELIVERIES)


pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


@pytest.fixture
def sharded(app: Flask, database_kind: str) -> None:
    """Skip SQLite, where only one process can write."""
    del app
    if database_kind == "sqlite":
        pytest.skip("on SQLite nothing is sharded")


class Sender:
    """A sender process on its own machine, alive since now. Its run is the greatest so far."""

    last = 0

    def __init__(self) -> None:
        Sender.last += 1
        self.run, self.host = UUID(int=Sender.last), f"m{Sender.last}"
        self.sharding = Sharding(self.run)
        self.sign()

    def sign(self, *, ago: float = 0.0, offline: bool = False) -> None:
        """Record its last heartbeat."""
        with writing() as current:
            now = database_now(current.connection())
            process = Process(name=f"{WORKER} {self.run}", kind=WORKER, host=self.host, pid=1)
            process.run, process.started_at = self.run, now
            process.seen_at = now - timedelta(seconds=ago)
            process.offline_since = now if offline else None
            current.merge(process)

    @property
    def rank(self) -> int:
        """Return the remainder of its webhooks' ids modulo two."""
        return self.sharding.shard.rank

    def look(self) -> None:
        """See who sends, as at each heartbeat."""
        with writing() as current:
            see(current.connection(), self.sharding)

    def claim(self, places: int = 512) -> list[int]:
        """Claim deliveries, and return the ids of their webhooks, each once."""
        with writing() as current:
            claims = dispatch_claim.claim(current.connection(), places, sharding=self.sharding)
        return sorted({claimed.webhook.id for claimed in claims})


def see(connection: Connection, sharding: Sharding) -> None:
    sharding.refresh(connection)


def senders(count: int) -> list[Sender]:
    made = [Sender() for _ in range(count)]
    for sender in made:
        sender.look()
    return made


def backlog(webhooks: int, deliveries: int = 1) -> list[int]:
    """Make webhooks with this many due deliveries each, and return their ids."""
    hooks = [make_webhook() for _ in range(webhooks)]
    for _ in range(deliveries):
        publish()
    return [hook.id for hook in hooks]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.usefixtures("sharded")
def test_each_sender_takes_its_shard_and_all_together_take_everything(count: int) -> None:
    hooks = backlog(7)
    taken = [sender.claim() for sender in senders(count)]
    assert all(taken)
    assert sorted(chain.from_iterable(taken)) == hooks


@pytest.mark.usefixtures("sharded")
def test_an_unreachable_webhook_is_left_to_others_for_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This applies each time, to any shard, and to manual retries."""
    clock = Clock()
    monkeypatch.setattr(sharding, "monotonic", clock.monotonic)
    first, _ = senders(2)
    hook = next(
        each for each in (make_webhook() for _ in range(2)) if first.sharding.shard.has(each.id)
    )
    first.sharding.note(hook.id, has_connected=False)
    for _ in range(2):
        make_delivery(hook)
        ask_for_retry(deliveries()[-1].id)
        assert first.claim() == []
        assert first.sharding.again_at == pytest.approx(clock.now + 2.0)
        clock.now += 1.9
        assert first.claim() == []
        clock.now += 0.2
        with writing() as current:
            past = database_now(current.connection()) - timedelta(seconds=2.1)
            current.execute(update(Delivery).values(due_at=past))
        assert first.claim() == [hook.id]
    make_delivery(hook)
    first.sharding.note(hook.id, has_connected=True)
    assert first.claim() == [hook.id]


@pytest.mark.usefixtures("sharded")
def test_deliveries_that_others_send_in_time_are_left_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(sharding, "monotonic", clock.monotonic)
    first, second = senders(2)
    hook = make_webhook()
    first.sharding.note(hook.id, has_connected=False)
    for _ in range(6):
        make_delivery(hook)
        assert first.claim() == []
        clock.now += 0.5
        assert second.claim() == [hook.id]


def test_one_process_alone_leaves_nothing_to_others() -> None:
    (first,) = senders(1)
    hook = make_webhook()
    first.sharding.note(hook.id, has_connected=False)
    make_delivery(hook)
    assert first.claim() == [hook.id]


@pytest.mark.usefixtures("sharded")
def test_deliveries_of_another_shard_are_taken_only_after_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooks = backlog(4, 2)
    first, second = senders(2)
    monkeypatch.setattr(sharding, "PATIENCE", 3600.0)
    own = {webhook_id for webhook_id in hooks if webhook_id % 2 == first.rank}
    for _ in range(3):
        assert set(first.claim(1)) <= own
    monkeypatch.setattr(sharding, "PATIENCE", 0.0)
    assert set(first.claim()) >= {
        webhook_id for webhook_id in hooks if webhook_id % 2 == second.rank
    }


@pytest.mark.usefixtures("sharded")
def test_a_sender_polls_again_only_for_deliveries_that_it_left() -> None:
    backlog(2, 2)
    first, second = senders(2)
    assert first.sharding.again_at > monotonic() + 3600
    began = monotonic()
    first.claim()
    assert began + sharding.PATIENCE <= first.sharding.again_at <= monotonic() + sharding.PATIENCE
    second.claim()
    assert first.claim() == []
    assert first.sharding.again_at > monotonic() + 3600


@pytest.mark.usefixtures("sharded")
def test_tests_and_manual_retries_wait_for_no_shard() -> None:
    hooks = [make_webhook() for _ in range(6)]
    first, _ = senders(2)
    theirs = [hook for hook in hooks if hook.id % 2]
    tested, retried, usual = theirs
    for hook in hooks:
        make_delivery(hook)
    make_delivery(tested, priority=Priority.TEST)
    make_delivery(retried, status="failed")
    ask_for_retry(deliveries()[-1].id)
    own = [hook.id for hook in hooks if hook not in theirs]
    assert first.claim() == sorted([*own, tested.id, retried.id])
    assert first.claim() == [usual.id]


@pytest.mark.parametrize("gone", ["silent", "offline", "ended"])
def test_processes_that_do_not_send_get_no_shard(gone: str) -> None:
    hooks = backlog(4)
    first, second = senders(2)
    if gone == "ended":
        with writing() as current:
            current.execute(delete(Process).where(Process.run == second.run))
    else:
        second.sign(ago=16.0 if gone == "silent" else 0.0, offline=gone == "offline")
    first.look()
    assert first.claim() == hooks


def test_other_processes_and_one_without_a_heartbeat_do_not_shard() -> None:
    hooks = backlog(4)
    (first,) = senders(1)
    with writing() as current:
        heartbeats.record(current.connection(), heartbeats.WEB, "web 1", run=uuid4())
        heartbeats.record(current.connection(), heartbeats.DISPATCHER, "dispatcher 1", run=uuid4())
    first.look()
    stranger = Sharding(uuid4())
    with writing() as current:
        see(current.connection(), stranger)
        assert len(
            stranger.choose(current.connection(), find_due(current.connection()).claimable)
        ) == len(hooks)
    assert first.claim() == hooks
