"""The steps of a dispatcher: what it sends, releases, and keeps, and when it polls."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import count
from math import inf
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select

from jobs.deliver import equip
from jobs.dispatcher import loop
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.redis_notifications import Wake
from portal.engine.http.transport import Transport
from portal.extensions import db, settings
from portal.models.deliveries import Delivery
from portal.queue import notifier
from portal.services.dispatch import request
from portal.services.dispatch.claim import Claim
from portal.services.outbox.sharding import own_sharding
from tests.jobs.dispatcher.delivery_clock import attempts, claim, deliveries, ended, leases
from tests.jobs.outage import Clock, refused
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import make_webhook, publish
from tests.support.processes import until

pytestmark = pytest.mark.both_databases


def claims(number: int) -> list[Claim]:
    """Return this many claims, each made alone."""
    make_webhook("http://127.0.0.1:9/")
    for _ in range(number):
        publish()
    return [claimed for _ in range(number) for claimed in claim(places=1)]


@contextmanager
def a_dispatcher(places: int = 20, **changed: Any) -> Iterator[Dispatcher]:
    """Yield a dispatcher that nothing drives. Its requests aren't sent, and its maintenance is
    never due."""
    with closing(Transport(request.guard(settings()), max_in_flight=places)) as transport:
        dispatcher = Dispatcher(
            settings=replace(settings(), **changed),
            engine=equip().engine,
            transport=transport,
            notifier=notifier.notifier(),
            wake=Wake(),
            connectivity=equip().connectivity,
            is_stopping=lambda: False,
        )
        dispatcher._maintenance.at = inf
        dispatcher._notifications.start()
        try:
            yield dispatcher
        finally:
            dispatcher._notifications.stop()
            dispatcher._database.close()


def send(dispatcher: Dispatcher, made: list[Claim], began: float) -> None:
    dispatcher._take(made, began)
    dispatcher._send_claimed()


def tokens(made: list[Claim]) -> set[object]:
    return {claimed.token for claimed in made}


@pytest.mark.parametrize(("margin", "fresh"), [(60, 5.0), (2, 2.0)])
def test_an_old_claim_is_released_unsent(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    margin: int,
    fresh: float,
) -> None:
    """Its lease can have ended, so others send it. Sending counts as a heartbeat and polling
    doesn't."""
    del app
    clock = Clock()
    monkeypatch.setattr(loop, "since_boot", clock.monotonic)
    in_time, late = claims(2)
    with a_dispatcher(lease_margin=margin) as dispatcher:
        send(dispatcher, [], clock.now)
        assert not dispatcher._maintenance._has_sent
        send(dispatcher, [in_time], clock.now - fresh)
        assert (dispatcher._in_flight.tokens, dispatcher._unsent) == ({in_time.token}, [])
        assert (dispatcher._maintenance._has_sent, caplog.messages) == (True, [])
        send(dispatcher, [in_time, late], clock.now - fresh - 0.1)
        assert dispatcher._in_flight.count == 1
        assert dispatcher._unsent == [in_time, late]
    assert caplog.messages == ["Claiming took too long. Released 2 deliveries."]


def test_a_release_is_followed_by_a_poll(app: Flask) -> None:
    del app
    unsent, interrupted = claims(2)
    with a_dispatcher() as dispatcher:
        with refused():
            dispatcher._unsent, dispatcher._interrupted = [unsent], [interrupted]
            dispatcher._release()
            dispatcher._database.poll(20)
        assert len(leases()) == 2, "the database did not take it"
        dispatcher._database._retry_at = 0.0
        dispatcher._poll_at = inf
        dispatcher._release()
        dispatcher._database.poll(20)
        assert (dispatcher._poll_at, leases()) == (0.0, [])
        assert [each.delivery_id for each in attempts()] == [interrupted.delivery_id]
        assert {each.tries for each in deliveries()} == {0}
        dispatcher._poll_at = inf
        dispatcher._release()
        assert (dispatcher._poll_at, dispatcher._is_idle) == (inf, True)


def test_results_are_recorded_while_a_lease_cannot_be_released(app: Flask) -> None:
    del app
    if db.engine.dialect.name == "sqlite":
        pytest.skip("there a lock keeps everything out")
    stuck, arrived = claims(2)
    its_row = select(Delivery.id).where(Delivery.id == stuck.delivery_id).with_for_update()
    with a_dispatcher() as dispatcher, db.engine.connect() as other, other.begin():
        other.execute(its_row)
        dispatcher._interrupted = [stuck]
        dispatcher._batches.add(ended(arrived))

        def is_recorded() -> bool:
            dispatcher._release()
            dispatcher._record_and_claim()
            return dispatcher._batches.is_empty

        assert until(is_recorded, 5)
        assert dispatcher._interrupted == [stuck]


def test_recording_claims_only_for_the_remaining_slots(app: Flask) -> None:
    del app
    first, second, third = claims(3)
    for number in range(3):
        publish(asset_id=number + 1)
    with a_dispatcher(places=3, worker_max_in_flight=3) as dispatcher:
        dispatcher._claimed = [second, third]
        dispatcher._batches.add(ended(first))
        dispatcher._batches._pending_since = 0.0  # long enough ago to be written
        dispatcher._record_and_claim()
        dispatcher._database.poll(20)
        assert (len(dispatcher._claimed), dispatcher._batches.is_empty) == (3, True)


def test_every_claimed_lease_is_sent_or_released(app: Flask) -> None:
    """Even if a poll follows a record in the same step and claims for another webhook."""
    del app
    (first,) = claims(1)
    publish()
    with a_dispatcher(worker_max_in_flight=20) as dispatcher:
        dispatcher._batches.add(ended(first))
        dispatcher._poll_at = inf
        dispatcher._record_and_claim()
        dispatcher._database.poll(20)
        recorded = [*dispatcher._claimed]
        make_webhook("http://127.0.0.1:9/")
        publish()
        dispatcher._poll_at = 0.0
        dispatcher._poll()
        dispatcher._database.poll(20)
        taken = [*dispatcher._claimed]
        assert (len(recorded), len(taken)) == (1, 3)
        dispatcher._send_claimed()
        assert dispatcher._in_flight.count == 3
        assert {lease.token for lease in leases()} == tokens(taken)
        publish()
        dispatcher._poll_at = 0.0
        dispatcher._poll()
        dispatcher._database.poll(20)
        dispatcher._claimed_at = 0.0  # too old to be sent
        dispatcher._send_claimed()
        dispatcher._release()
        dispatcher._database.poll(20)
        assert {lease.token for lease in leases()} == dispatcher._in_flight.tokens


def test_known_claims_are_not_released_after_a_lost_answer(app: Flask) -> None:
    del app
    flying, unsent, interrupted, arrived, new, _unknown = made = claims(6)
    with a_dispatcher() as dispatcher:
        send(dispatcher, [flying], loop.since_boot())
        dispatcher._unsent, dispatcher._interrupted = [unsent], [interrupted]
        dispatcher._batches.add(ended(arrived))
        dispatcher._take([new], loop.since_boot())
        dispatcher._database._unsure_until = inf
        dispatcher._maintain()
        dispatcher._database.poll(20)
        assert {lease.token for lease in leases()} == tokens(made[:5])


def test_maintenance_leaves_deliveries_with_pending_results(app: Flask) -> None:
    del app
    kept, other = make_webhook(), make_webhook()
    for each in (kept, other):
        lease(make_delivery(each), -1)
    with a_dispatcher() as dispatcher:
        seen = []
        for is_behind in (True, False):
            dispatcher._batches.is_behind, dispatcher._batches.waits_for = is_behind, {kept.id}
            dispatcher._maintenance.at = 0.0
            dispatcher._maintain()
            seen.append([each.webhook_id for each in leases()])
    assert seen == [[kept.id, other.id], [kept.id]]


def test_a_claim_counts_pending_claims_as_taken_slots(app: Flask) -> None:
    del app
    (held,) = claims(1)
    for _ in range(2):
        make_webhook()
    for number in range(8):
        publish(asset_id=number + 1)
    with a_dispatcher(places=20, worker_max_in_flight=16) as dispatcher:
        for places, why in ((15, "one for each"), (3, "two are reserved for others")):
            dispatcher._claimed = [held] * places
            made = dispatcher._database.write(dispatcher._claiming()) or []
            assert len(made) == (3 if places == 15 else 15), why


def test_no_delivery_is_claimed_while_results_are_behind(app: Flask) -> None:
    del app
    (first,) = claims(1)
    publish()
    with a_dispatcher() as dispatcher:
        dispatcher._batches.add(ended(first))
        with refused():
            dispatcher._record_and_claim()
        dispatcher._poll()
        assert (len(leases()), dispatcher._claimed) == (1, [])
        dispatcher._database._retry_at = 0.0
        dispatcher._record_and_claim()
        assert dispatcher._claimed == [], "it was behind"
        dispatcher._poll()
        assert [claimed.delivery_id for claimed in dispatcher._claimed] == [deliveries()[1].id]


@pytest.mark.parametrize(
    ("finds", "is_refused", "seconds", "pause"),
    [
        (False, False, 0.001, 0.5),
        (True, False, 2.0, 0.5),
        (False, True, 2.0, 0.05),
    ],
)
def test_the_result_of_a_poll_sets_the_time_of_the_next(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    finds: bool,
    is_refused: bool,
    seconds: float,
    pause: float,
) -> None:
    del app
    if finds:
        make_webhook()
        publish()
    clock, ticks = Clock(), count(5.0, seconds)
    with a_dispatcher() as dispatcher:
        monkeypatch.setattr(loop, "monotonic", clock.monotonic)
        monkeypatch.setattr(loop, "since_boot", lambda: next(ticks))
        with refused() if is_refused else nullcontext():
            dispatcher._poll()
        assert (len(dispatcher._claimed), dispatcher._is_answered) == (int(finds), not is_refused)
        assert (dispatcher._empty_poll_at > 0) == (not (finds or is_refused))
        assert dispatcher._poll_at == dispatcher._next_poll == pytest.approx(clock.now + pause)
        monkeypatch.setattr(own_sharding, "_left", {1: 0.0})
        sooner = dispatcher._poll_at if is_refused else own_sharding.again_at
        assert dispatcher._next_poll == sooner


def test_a_claim_waits_for_the_disk_only_with_results(app: Flask) -> None:
    del app
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite writes down each commit")
    durable = list[bool]()

    def note(connection: Connection) -> None:
        how = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
        durable.append(how != "off")

    make_webhook()
    publish()
    event.listen(equip().engine, "commit", note)
    try:
        with a_dispatcher() as dispatcher:
            dispatcher._poll()
            (first,) = dispatcher._claimed
            dispatcher._claimed = []
            dispatcher._batches.add(ended(first))
            publish()
            dispatcher._record_and_claim()
    finally:
        event.remove(equip().engine, "commit", note)
    assert (len(leases()), durable) == (1, [False, True])
