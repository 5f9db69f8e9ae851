"""The steps of a dispatcher one by one: what it begins, what it says of itself, what it keeps."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from flask import Flask

from jobs.deliver import equip
from jobs.dispatcher import loop as dispatcher_module
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.wake import Wake
from portal.engine.http.transport import Transport
from portal.extensions import settings
from portal.queue import notifier
from portal.services.dispatch import request
from portal.services.dispatch.claim_types import Claim
from tests.jobs.dispatcher.delivery_clock import claim, ended, leases
from tests.jobs.outage import Clock
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.both_databases


def claims(count: int) -> list[Claim]:
    """So many, each of which was claimed alone."""
    make_webhook("http://127.0.0.1:9/")
    for _ in range(count):
        publish()
    return [each for _ in range(count) for each in claim(places=1)]


@contextmanager
def a_dispatcher(places: int = 20, **changed: Any) -> Iterator[Dispatcher]:
    """One that nobody drives: what it begins goes nowhere."""
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
        dispatcher._notifications.start()
        try:
            yield dispatcher
        finally:
            dispatcher._notifications.stop()
            dispatcher._executor.close()


@pytest.mark.parametrize(("margin", "fresh"), [(60, 5.0), (2, 2.0)])
def test_what_was_claimed_too_long_ago_is_given_back_unsent(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    margin: int,
    fresh: float,
) -> None:
    """Its lease may have ended, and others send it. Sending is a heartbeat; looking is none."""
    del app
    clock = Clock()
    monkeypatch.setattr(dispatcher_module, "since_boot", clock.monotonic)
    in_time, late = claims(2)
    with a_dispatcher(lease_margin=margin) as dispatcher:
        dispatcher._begin([], clock.now)
        assert not dispatcher._maintenance._has_sent
        dispatcher._begin([in_time], clock.now - fresh)
        assert (dispatcher._in_flight.tokens, dispatcher._returns.tokens) == (
            {in_time.token},
            set(),
        )
        assert (dispatcher._maintenance._has_sent, caplog.messages) == (True, [])
        dispatcher._begin([in_time, late], clock.now - fresh - 0.1)
        assert dispatcher._in_flight.count == 1
        assert dispatcher._returns.tokens == {in_time.token, late.token}
    assert caplog.messages == ["Claiming took too long; 2 deliveries are given back."]


def test_what_it_has_given_back_it_looks_for_at_once(app: Flask) -> None:
    del app
    with a_dispatcher() as dispatcher:
        dispatcher._returns.add(claims(1))
        dispatcher._poller.at = inf
        dispatcher._turn()
        assert (dispatcher._poller.at, leases()) == (0.0, [])
        dispatcher._poller.at = inf
        dispatcher._turn()
        assert dispatcher._poller.at == inf


def test_with_what_it_writes_it_claims_for_the_places_that_will_be_left(app: Flask) -> None:
    del app
    (first,) = claims(1)
    for number in range(3):
        publish(asset_id=number + 1)
    with a_dispatcher(places=3, worker_max_in_flight=3) as dispatcher:
        dispatcher._recorder.add(ended(first))
        dispatcher._recorder._kept_since = 0.0  # for long enough
        dispatcher._flush(held=2)
        dispatcher._go_on(dispatcher._executor.poll(20))
        assert (dispatcher._in_flight.count, dispatcher._recorder.is_empty) == (1, True)


def test_what_it_knows_of_is_not_given_back_when_an_answer_was_lost(app: Flask) -> None:
    del app
    flying, unsent, arrived, new, _unknown = made = claims(5)
    with a_dispatcher() as dispatcher:
        assert dispatcher._in_flight.start(flying)
        dispatcher._returns.add([unsent])
        dispatcher._recorder.add(ended(arrived))
        dispatcher._writer._unsure_until = dispatcher._maintenance.at = inf
        dispatcher._do_maintenance([new])
        dispatcher._executor.poll(20)
        assert {each.token for each in leases()} == {each.token for each in made[:4]}


def test_its_maintenance_leave_alone_what_it_has_still_to_write(app: Flask) -> None:
    del app
    kept, other = make_webhook(), make_webhook()
    for each in (kept, other):
        lease(make_delivery(each), -1)
    with a_dispatcher() as dispatcher:
        seen = []
        for is_behind in (True, False):
            dispatcher._recorder.is_behind, dispatcher._recorder.waits_for = is_behind, {kept.id}
            dispatcher._maintenance.at = 0.0
            dispatcher._do_maintenance([])
            seen.append([each.webhook_id for each in leases()])
    assert seen == [[kept.id, other.id], [kept.id]]
