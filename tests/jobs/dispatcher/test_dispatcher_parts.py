"""The parts of a dispatcher one by one: its looks, and what it keeps to record."""

from contextlib import closing, nullcontext
from itertools import accumulate, count
from math import inf

import pytest
from sqlalchemy import Connection, event, select

from jobs.deliver import equip
from jobs.dispatcher import poller as poller_module
from jobs.dispatcher import recorder
from jobs.dispatcher.database_executor import DatabaseExecutor
from jobs.dispatcher.database_writer import DatabaseWriter
from jobs.dispatcher.in_flight import InFlight
from jobs.dispatcher.poller import Poller
from jobs.dispatcher.recorder import Recorder
from portal.engine.http.transport import Transport
from portal.extensions import db, settings
from portal.models.webhooks import Webhook
from portal.services.dispatch import request
from portal.services.dispatch.claim_types import Claim
from portal.services.outbox.sharding import own_sharding
from tests.jobs.dispatcher.delivery_clock import claim, deliveries, ended, leases
from tests.jobs.outage import Clock, refused
from tests.support.factories import make_webhook, publish


def claims(count: int) -> list[Claim]:
    make_webhook()
    for _ in range(count):
        publish()
    return claim()


def test_after_an_outage_results_are_written_in_parts_and_nothing_is_claimed_before_the_end(
    writer: DatabaseWriter, executor: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RESULTS_A_WRITE", 2)
    kept, asked = Recorder(writer, executor), []

    def look(_connection: Connection, *, without: set[int]) -> list[Claim]:
        asked.append(without)
        return []

    made = claims(7)
    for each in made:
        kept.add(ended(each))
    assert kept.tokens == {each.token for each in made}
    first = kept.write(look, beside=False)
    assert first is not None
    assert (first.claims, kept.is_behind, len(asked)) == ([], False, 1)
    with refused():
        assert kept.write(look, beside=False) is None
    assert (kept.is_behind, len(asked)) == (True, 2)
    seen = []
    for _ in range(3):
        done = kept.write(look, beside=False)
        assert done is not None
        assert done.claims is None
        arrived = sum(each.status == "delivered" for each in deliveries())
        seen.append((arrived, kept.is_behind, kept.is_empty))
    assert seen == [(4, True, False), (6, True, False), (7, False, True)]
    assert (kept.tokens, len(asked)) == (set(), 2)
    assert kept.write(look, beside=False) is None


def looks_with(
    transport: Transport,
    most: int,
    kept: Recorder,
    writer: DatabaseWriter,
    executor: DatabaseExecutor,
) -> Poller:
    connectivity = equip().connectivity
    in_flight = InFlight(settings(), transport, kept, connectivity)
    return Poller(writer, executor, kept, in_flight, transport, connectivity, most)


def test_a_claim_is_for_the_places_that_are_free_less_those_about_to_be_taken(
    writer: DatabaseWriter, executor: DatabaseExecutor
) -> None:
    for _ in range(3):
        make_webhook()
    for number in range(8):
        publish(asset_id=number + 1)
    kept = Recorder(writer, executor)
    with closing(Transport(request.guard(settings()), max_in_flight=20)) as transport:
        poller = looks_with(transport, 16, kept, writer, executor)
        assert len(writer.write(poller.claiming(held=15)) or ()) == 3, "one for each"
        assert len(writer.write(poller.claiming(held=3)) or ()) == 15, "two are kept for others"


def test_a_webhook_whose_secret_does_not_open_is_left_alone_by_every_claim(
    writer: DatabaseWriter, executor: DatabaseExecutor
) -> None:
    kept, transport = Recorder(writer, executor), equip().transport
    in_flight = InFlight(settings(), transport, kept, equip().connectivity)
    poller = Poller(writer, executor, kept, in_flight, transport, equip().connectivity, 512)
    closed, open_one = make_webhook(), make_webhook()
    in_flight._shut[closed.id] = inf
    publish()
    done = poller.look(lambda: None)
    assert done is not None
    (first,) = done.claims or ()
    publish()
    kept.add(ended(first))
    done = kept.write(poller.claiming(), beside=False)
    assert done is not None
    (second,) = done.claims or ()
    assert {first.webhook.id, second.webhook.id} == {open_one.id}


def test_nothing_is_claimed_while_results_wait_to_be_written(
    writer: DatabaseWriter, executor: DatabaseExecutor
) -> None:
    kept = Recorder(writer, executor)
    poller = looks_with(equip().transport, 512, kept, writer, executor)
    kept.add(ended(*claims(1)))
    publish()
    with refused():
        assert kept.write(None, beside=False) is None
    assert poller.look(lambda: None) is None
    assert len(leases()) == 1
    assert kept.write(None, beside=False)
    done = poller.look(lambda: None)
    assert done is not None
    assert [each.delivery_id for each in done.claims or ()] == [deliveries()[1].id]


@pytest.mark.parametrize(
    ("finds", "is_refused", "seconds", "pause"),
    [
        (False, False, 0.001, 0.5),
        (True, False, 2.0, 0.5),
        (False, True, 2.0, 0.05),
    ],
)
def test_when_it_looks_again_follows_from_what_a_look_found(
    writer: DatabaseWriter,
    executor: DatabaseExecutor,
    monkeypatch: pytest.MonkeyPatch,
    finds: bool,
    is_refused: bool,
    seconds: float,
    pause: float,
) -> None:
    if finds:
        make_webhook()
        publish()
    clock, ticks, polls = Clock(), count(5.0, seconds), list[None]()
    monkeypatch.setattr(poller_module, "monotonic", clock.monotonic)
    monkeypatch.setattr(poller_module, "since_boot", lambda: next(ticks))
    poller = looks_with(equip().transport, 512, Recorder(writer, executor), writer, executor)
    with refused() if is_refused else nullcontext():
        done = poller.look(lambda: polls.append(None))
    assert done is not None
    assert (len(done.claims or ()), done.began) == (int(finds), 5.0)
    assert len(polls) == 1
    assert (poller.last_empty_at > 0) == (not (finds or is_refused))
    assert (poller.are_blind, poller.at) == (is_refused, pytest.approx(clock.now + pause))
    assert poller.due_at == poller.at
    monkeypatch.setattr(own_sharding, "_left", {1: 0.0})
    assert poller.due_at == (poller.at if is_refused else own_sharding.again_at)


@pytest.mark.parametrize(
    ("took", "pause"),
    [
        ([2.0], 0.5),
        ([2.0, 2.0], 0.5),
        ([0.03, 0.04, 0.05], 1.5),
        ([0.03, 0.04, 0.05, 2.0], 2.0),
        ([0.03, 0.04, 0.05, 0.001], 0.5),
        ([0.001, 2.0, 2.0], 0.5),
        ([2.0, 2.0, 2.0], 5.0),
    ],
)
def test_looks_that_find_nothing_come_seldom_where_all_of_the_last_took_long(
    writer: DatabaseWriter,
    executor: DatabaseExecutor,
    monkeypatch: pytest.MonkeyPatch,
    took: list[float],
    pause: float,
) -> None:
    clock = Clock()
    ticks = accumulate(seconds for each in took for seconds in (0.0, each))
    monkeypatch.setattr(poller_module, "monotonic", clock.monotonic)
    monkeypatch.setattr(poller_module, "since_boot", lambda: next(ticks))
    poller = looks_with(equip().transport, 512, Recorder(writer, executor), writer, executor)
    for _ in took:
        assert poller.look(lambda: None) is not None
    assert poller.at == pytest.approx(clock.now + pause)


@pytest.mark.both_databases
def test_a_claim_waits_for_the_disk_with_results_and_not_alone(
    writer: DatabaseWriter, executor: DatabaseExecutor
) -> None:
    if writer.is_sqlite:
        pytest.skip("SQLite writes down each commit")
    kept, durable = Recorder(writer, executor), list[bool]()
    poller = looks_with(equip().transport, 512, kept, writer, executor)

    def note(connection: Connection) -> None:
        how = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
        durable.append(how != "off")

    make_webhook()
    publish()
    event.listen(equip().engine, "commit", note)
    try:
        done = poller.look(lambda: None)
        assert done is not None
        kept.add(ended(*(done.claims or ())))
        publish()
        assert kept.write(poller.claiming(), beside=False) is not None
    finally:
        event.remove(equip().engine, "commit", note)
    assert (len(leases()), durable) == (1, [False, True])


def test_what_waits_for_anothers_lock_is_written_after_all_the_others(
    writer: DatabaseWriter, executor: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    if writer.is_sqlite:
        pytest.skip("there nobody has a lock while somebody else writes")
    kept = Recorder(writer, executor)
    hooks = [make_webhook(), make_webhook()]
    publish()
    waiting, other = (ended(each) for each in claim())
    kept.add(waiting)
    with refused():
        assert kept.write(None, beside=False) is None
    with db.engine.begin() as somebody:
        mine = Webhook.id == waiting.claim.webhook.id
        somebody.execute(select(Webhook.id).where(mine).with_for_update())
        assert kept.write(None, beside=False) is not None
        assert (kept.waits_for, kept.is_behind) == ({waiting.claim.webhook.id}, False)
        monkeypatch.setattr(recorder, "RESULTS_A_WRITE", 1)
        kept.add(other)
        assert kept.write(None, beside=False) is not None
        arrived = [each.webhook_id for each in deliveries() if each.status == "delivered"]
        assert arrived == [other.claim.webhook.id]
    assert {each.id for each in hooks} == {*arrived, waiting.claim.webhook.id}
    # Nor does it make a part larger now that nobody has the lock.
    publish()
    kept.add(*(ended(each) for each in claim() if each.webhook.id == other.claim.webhook.id))
    assert kept.write(None, beside=False) is not None
    arrived = [each.webhook_id for each in deliveries() if each.status == "delivered"]
    assert arrived == 2 * [other.claim.webhook.id]


def test_results_are_written_once_there_are_two_hundred_or_some_have_waited_a_moment(
    writer: DatabaseWriter, executor: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(recorder, "since_boot", clock.monotonic)
    kept, (only,) = Recorder(writer, executor), claims(1)
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


def test_what_a_batch_has_left_is_gathered_anew_from_when_it_was_begun(
    writer: DatabaseWriter, executor: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(recorder, "since_boot", clock.monotonic)
    monkeypatch.setattr(recorder, "RESULTS_A_WRITE", 1)
    kept = Recorder(writer, executor)
    for each in claims(2):
        kept.add(ended(each))
    clock.now += 1
    assert kept.write(None, beside=False)
    seen = []
    for later in (0.049, 0.002):
        clock.now += later
        seen.append(kept.is_due(in_flight=500))
    assert seen == [False, True]


def test_what_failed_together_is_spread_evenly() -> None:
    drawn = [recorder._jitter() for _ in range(2000)]
    for low, high in ((-1, -0.5), (-0.5, 0), (0, 0.5), (0.5, 1)):
        assert 350 < sum(low <= each < high for each in drawn) < 650
