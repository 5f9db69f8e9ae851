"""Results are collected, written in batches, and kept while the database refuses them."""

import pytest
from flask import Flask
from sqlalchemy import Connection, select

from jobs.deliver import equip
from jobs.dispatcher import result_batches
from jobs.dispatcher.database import DatabaseExecutor
from jobs.dispatcher.result_batches import ResultBatches
from portal.extensions import db
from portal.models.webhooks import Webhook
from portal.services.dispatch.claim import Claim
from tests.jobs.dispatcher.delivery_clock import claim, deliveries, ended
from tests.jobs.dispatcher.recorded import write
from tests.jobs.outage import Clock, refused
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.both_databases


def claims(count: int) -> list[Claim]:
    make_webhook()
    for _ in range(count):
        publish()
    return claim()


class Asked:
    """A claim that finds no delivery. `without`: the webhooks it was told to skip, call by call."""

    def __init__(self) -> None:
        self.without = list[set[int]]()

    def __call__(self, _connection: Connection, *, without: set[int]) -> list[Claim]:
        self.without.append(without)
        return []


def test_after_an_outage_all_results_are_written_in_parts_before_a_claim(
    database: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_batches, "RESULTS_A_WRITE", 2)
    kept, look = ResultBatches(database), Asked()
    made = claims(7)
    for each in made:
        kept.add(ended(each))
    assert kept.tokens == {each.token for each in made}
    assert write(kept, look) == [[]]
    assert (kept.is_behind, look.without) == (False, [set()])
    with refused():
        assert write(kept, look) == []
    assert (kept.is_behind, len(look.without)) == (True, 2)
    seen = []
    for _ in range(3):
        assert write(kept, look) == [None], "nothing was to be claimed"
        arrived = sum(each.status == "delivered" for each in deliveries())
        seen.append((arrived, kept.is_behind))
    assert seen == [(4, True), (6, True), (7, False)]
    assert (kept.is_empty, len(look.without)) == (True, 2)
    assert write(kept, look) == [], "there is no batch"


def test_in_the_background_results_for_a_quarter_of_requests_are_due(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    monkeypatch.setattr(result_batches, "FLUSH_AFTER", 3600.0)
    executor = DatabaseExecutor(equip().engine, has_background=True)
    kept = ResultBatches(executor)
    kept.add(ended(*claims(1)))
    assert [kept.is_due(in_flight) for in_flight in (2, 3, 4)] == [True, True, False]
    executor.close()


def test_results_blocked_by_a_lock_are_written_after_all_others(
    database: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("there nobody has a lock while somebody else writes")
    kept = ResultBatches(database)
    hooks = [make_webhook(), make_webhook()]
    publish()
    waiting, other = (ended(each) for each in claim())
    kept.add(waiting)
    with refused():
        assert not write(kept)
    with db.engine.begin() as somebody:
        mine = Webhook.id == waiting.claim.webhook.id
        somebody.execute(select(Webhook.id).where(mine).with_for_update())
        assert write(kept)
        assert (kept.waits_for, kept.is_behind) == ({waiting.claim.webhook.id}, False)
        monkeypatch.setattr(result_batches, "RESULTS_A_WRITE", 1)
        kept.add(other)
        assert write(kept)
        arrived = [each.webhook_id for each in deliveries() if each.status == "delivered"]
        assert arrived == [other.claim.webhook.id]
    assert {each.id for each in hooks} == {*arrived, waiting.claim.webhook.id}
    # Nor does it make a batch larger once the lock is gone.
    publish()
    kept.add(*(ended(each) for each in claim() if each.webhook.id == other.claim.webhook.id))
    assert write(kept)
    arrived = [each.webhook_id for each in deliveries() if each.status == "delivered"]
    assert arrived == 2 * [other.claim.webhook.id]


def test_two_hundred_results_or_a_short_wait_make_a_batch_due(
    database: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(result_batches, "since_boot", clock.monotonic)
    kept, (only,) = ResultBatches(database), claims(1)
    many = ended(only)
    kept.add(many)
    clock.now += 0.049
    assert not kept.is_due(in_flight=500)
    clock.now += 0.002
    assert kept.is_due(in_flight=500)
    clock.now -= 0.05
    for _ in range(198):
        kept.add(many)
    assert not kept.is_due(in_flight=500)
    kept.add(many)
    assert kept.is_due(in_flight=500)


def test_results_left_by_a_batch_wait_again_from_its_start(
    database: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(result_batches, "since_boot", clock.monotonic)
    monkeypatch.setattr(result_batches, "RESULTS_A_WRITE", 1)
    kept = ResultBatches(database)
    for each in claims(2):
        kept.add(ended(each))
    clock.now += 1
    assert write(kept)
    seen = []
    for later in (0.049, 0.002):
        clock.now += later
        seen.append(kept.is_due(in_flight=500))
    assert seen == [False, True]


def test_retries_of_simultaneous_failures_are_spread_evenly() -> None:
    drawn = [result_batches._jitter() for _ in range(2000)]
    for low, high in ((-1, -0.5), (-0.5, 0), (0, 0.5), (0.5, 1)):
        assert 350 < sum(low <= jitter < high for jitter in drawn) < 650
