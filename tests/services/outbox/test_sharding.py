"""Several processes that send divide a backlog, and nothing lies for long because of it."""

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
    """Where more than one can write."""
    del app
    if database_kind == "sqlite":
        pytest.skip("on SQLite nothing is sharded")


class Sender:
    """A process that sends, alive since now, on a machine of its own; its run is greater than those
    before."""

    last = 0

    def __init__(self) -> None:
        Sender.last += 1
        self.run, self.host = UUID(int=Sender.last), f"m{Sender.last}"
        self.sharding = Sharding(self.run)
        self.sign()

    def sign(self, *, ago: float = 0.0, offline: bool = False) -> None:
        """Its last heartbeat."""
        with writing() as current:
            now = database_now(current.connection())
            process = Process(name=f"{WORKER} {self.run}", kind=WORKER, host=self.host, pid=1)
            process.run, process.started_at = self.run, now
            process.seen_at = now - timedelta(seconds=ago)
            process.offline_since = now if offline else None
            current.merge(process)

    @property
    def rank(self) -> int:
        """What the ids of its webhooks leave, divided by two."""
        return self.sharding.shard.rank

    def look(self) -> None:
        """See who sends, as with each beat."""
        with writing() as current:
            see(current.connection(), self.sharding)

    def claim(self, places: int = 512) -> list[int]:
        """The webhooks for which it claims, each once."""
        with writing() as current:
            claims = dispatch_claim.claim(current.connection(), places, sharding=self.sharding)
        return sorted({each.webhook.id for each in claims})


def see(connection: Connection, sharding: Sharding) -> None:
    sharding.refresh(connection)


def senders(count: int) -> list[Sender]:
    made = [Sender() for _ in range(count)]
    for each in made:
        each.look()
    return made


def backlog(webhooks: int, deliveries: int = 1) -> list[int]:
    """The webhooks, each with so many that are due."""
    hooks = [make_webhook() for _ in range(webhooks)]
    for _ in range(deliveries):
        publish()
    return [each.id for each in hooks]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.usefixtures("sharded")
def test_each_takes_its_own_and_all_together_take_everything(count: int) -> None:
    hooks = backlog(7)
    taken = [each.claim() for each in senders(count)]
    assert all(taken)
    assert sorted(chain.from_iterable(taken)) == hooks


@pytest.mark.usefixtures("sharded")
def test_one_that_could_not_be_connected_to_is_left_to_others_for_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time, whoever's it is, and also what a person asked for."""
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
def test_what_others_send_in_time_is_left_to_them_however_much_follows(
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
def test_what_its_process_leaves_lying_is_taken_and_no_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooks = backlog(4, 2)
    first, second = senders(2)
    monkeypatch.setattr(sharding, "PATIENCE", 3600.0)
    own = {each for each in hooks if each % 2 == first.rank}
    for _ in range(3):
        assert set(first.claim(1)) <= own
    monkeypatch.setattr(sharding, "PATIENCE", 0.0)
    assert set(first.claim()) >= {each for each in hooks if each % 2 == second.rank}


@pytest.mark.usefixtures("sharded")
def test_it_polls_again_for_what_it_left_and_only_then() -> None:
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
def test_a_test_and_a_persons_retry_wait_for_no_process() -> None:
    hooks = [make_webhook() for _ in range(6)]
    first, _ = senders(2)
    theirs = [each for each in hooks if each.id % 2]
    tested, retried, usual = theirs
    for each in hooks:
        make_delivery(each)
    make_delivery(tested, priority=Priority.TEST)
    make_delivery(retried, status="failed")
    ask_for_retry(deliveries()[-1].id)
    own = [each.id for each in hooks if each not in theirs]
    assert first.claim() == sorted([*own, tested.id, retried.id])
    assert first.claim() == [usual.id]


@pytest.mark.parametrize("gone", ["silent", "offline", "ended"])
def test_with_those_that_do_not_send_nothing_is_divided(gone: str) -> None:
    hooks = backlog(4)
    first, second = senders(2)
    if gone == "ended":
        with writing() as current:
            current.execute(delete(Process).where(Process.run == second.run))
    else:
        second.sign(ago=16.0 if gone == "silent" else 0.0, offline=gone == "offline")
    first.look()
    assert first.claim() == hooks


def test_other_processes_and_one_without_a_heartbeat_of_its_own_shard_nothing() -> None:
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
