"""A dispatcher whose places are all taken claims no more than it can start."""

import threading
from collections import Counter
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import Connection, event

from jobs.deliver import deliver_due, equip, new_dispatcher
from jobs.dispatcher import loop, result_batches
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.redis_notifications import Wake
from jobs.stop_flag import stop
from portal.database.engine import impatient_engine
from portal.engine.http.transport import Transport
from portal.extensions import settings
from portal.queue import notifier
from portal.services.dispatch import request
from portal.services.webhooks import sample_deliveries
from tests.jobs.dispatcher.delivery_clock import claim, deliveries
from tests.support.factories import make_user, make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

PLACES = 3


@pytest.fixture(autouse=True)
def no_lease_runs_out(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is."""
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), lease_margin=60))


@pytest.mark.usefixtures("app")
def test_a_test_and_an_event_for_one_place_are_one_claim() -> None:
    """A test has a place of its own at its webhook, and none at the dispatcher."""
    hook = make_webhook()
    sample_deliveries.send_test(make_user().actor, hook.public_id)
    publish()
    first = claim(1)
    second = claim(1)
    assert [each.kind for each in (*first, *second)] == ["test", "scheduled"]
    assert len(first) == len(second) == 1
    assert claim(1) == []


@pytest.mark.parametrize("places", [1, 2, 5])
def test_no_more_is_claimed_than_there_are_places(app: Flask, places: int) -> None:
    actor = make_user().actor
    for hook in [make_webhook() for _ in range(3)]:
        sample_deliveries.send_test(actor, hook.public_id)
    publish()
    publish()
    seen: list[int] = []
    while claims := claim(places):
        assert len(claims) <= places
        seen += [each.delivery_id for each in claims]
    assert sorted(seen) == [each.id for each in deliveries()]


def test_what_is_about_to_be_started_has_its_place_already(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next batch is recorded, and claims, before what the last one claimed has begun."""
    monkeypatch.setattr(result_batches, "FLUSH_AT", 1)
    small = replace(settings(), worker_max_in_flight=PLACES)
    monkeypatch.setitem(app.extensions, "settings", small)
    waiting: list[int] = []
    with Receiver() as receiver:
        receiver.answer(delay=0.005)
        for _ in range(4):
            make_webhook(receiver.url)
        for number in range(6):
            publish(asset_id=number)
        engine = impatient_engine(small.database_url)
        transport = Transport(request.guard(small), max_in_flight=PLACES)
        Dispatcher(
            settings=small,
            engine=engine,
            transport=transport,
            notifier=notifier.notifier(),
            wake=Wake(),
            connectivity=equip().connectivity,
            is_stopping=lambda: waiting.append(transport.in_flight) or stop.is_set(),  # type: ignore[func-returns-value]  # notes it
        ).run_until_idle()
        transport.close()
        engine.dispose()
        ids = Counter(each.header("X-Asset-Webhook-Id") for each in receiver.received)
    assert ids == Counter(str(each.public_id) for each in deliveries())
    assert {each.status for each in deliveries()} == {"delivered"}
    assert max(waiting) == PLACES


def test_while_it_is_full_it_waits_for_answers_alone(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "POLL_EVERY", 0.01)
    small = replace(settings(), worker_max_in_flight=1)
    monkeypatch.setitem(app.extensions, "settings", small)
    transport, rounds = equip().transport, []

    def is_stopping() -> bool:
        rounds.append(transport.free)
        return stop.is_set()

    with Receiver() as receiver:
        receiver.answer(delay=0.3)
        make_webhook(receiver.url)
        publish()
        new_dispatcher(is_stopping).run_until_idle()
    assert 0 < rounds.count(0) < 1000


def test_places_for_what_was_claimed_are_not_claimed_for_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, results come while the claim before is being written."""
    monkeypatch.setattr(result_batches, "FLUSH_AT", 1)
    small = replace(settings(), worker_max_in_flight=PLACES)
    monkeypatch.setitem(app.extensions, "settings", small)
    is_first = iter([True])
    transport = equip().transport

    def wait_for_the_others(_connection: Connection) -> None:
        is_beside = threading.current_thread().name.startswith("database-writer")
        if is_beside and next(is_first, False):
            assert until(lambda: not transport.in_flight)

    event.listen(equip().engine, "commit", wait_for_the_others)
    try:
        with Receiver() as receiver:
            for _ in range(PLACES):
                receiver.answer_next()
            receiver.answer(delay=0.5)
            make_webhook(receiver.url)
            for number in range(3 * PLACES):
                publish(asset_id=number + 1)
            deliver_due()
    finally:
        event.remove(equip().engine, "commit", wait_for_the_others)
    assert {(each.status, each.attempts) for each in deliveries()} == {("delivered", 1)}
