"""The steps of a pump one by one: what it begins, what it says of itself, what it keeps."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from flask import Flask

from jobs.deliver import equip
from jobs.pump import pump as pump_module
from jobs.pump.pump import Pump
from jobs.pump.wake import Wake
from portal.engine.http.transport import Transport
from portal.extensions import settings
from portal.queue import bell
from portal.services.dispatch import request
from portal.services.dispatch.claim_types import Claim
from portal.services.outbox.reach import own_reach
from tests.jobs.outage import Clock
from tests.jobs.pump.delivery_clock import claim, ended, leases
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import make_webhook, publish
from tests.support.servers import ValkeyServer


def claims(count: int) -> list[Claim]:
    """So many, each of which was claimed alone."""
    make_webhook("http://127.0.0.1:9/")
    for _ in range(count):
        publish()
    return [each for _ in range(count) for each in claim(places=1)]


@contextmanager
def a_pump(places: int = 20, **changed: Any) -> Iterator[Pump]:
    """One that nobody drives: what it begins goes nowhere."""
    with closing(Transport(request.guard(settings()), max_in_flight=places)) as transport:
        pump = Pump(
            settings=replace(settings(), **changed),
            engine=equip().engine,
            transport=transport,
            bell=bell.bell(),
            wake=Wake(),
            is_stopping=lambda: False,
        )
        pump._listener.begin()
        try:
            yield pump
        finally:
            pump._listener.end()
            pump._desk.close()


@pytest.mark.parametrize(("margin", "fresh"), [(60, 5.0), (2, 2.0)])
def test_what_was_claimed_too_long_ago_is_given_back_unsent(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    margin: int,
    fresh: float,
) -> None:
    """Its lease may have ended, and others send it. Sending is a sign of life; looking is none."""
    del app
    clock = Clock()
    monkeypatch.setattr(pump_module, "since_boot", clock.monotonic)
    in_time, late = claims(2)
    with a_pump(lease_margin=margin) as pump:
        pump._begin([], clock.now)
        assert not pump._duties._has_sent
        pump._begin([in_time], clock.now - fresh)
        assert (pump._flights.tokens, pump._returns.tokens) == ({in_time.token}, set())
        assert (pump._duties._has_sent, caplog.messages) == (True, [])
        pump._begin([in_time, late], clock.now - fresh - 0.1)
        assert pump._flights.count == 1
        assert pump._returns.tokens == {in_time.token, late.token}
    assert caplog.messages == ["Claiming took too long; 2 deliveries are given back."]


@pytest.mark.parametrize("why_not", ["", "it falls asleep", "it is blind", "it leaves some"])
def test_it_says_that_it_is_awake_as_long_as_a_ring_needs_nobody_else(
    app: Flask, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, why_not: str
) -> None:
    del app
    with a_pump() as pump:
        pump._looks.at, pump._looks.are_blind = inf, why_not == "it is blind"
        pump._is_drowsy = why_not == "it falls asleep"
        monkeypatch.setattr(own_reach, "leaves_some", why_not == "it leaves some")
        pump._listen()
    assert bool(valkey_server.client().exists(bell.AWAKE)) is not bool(why_not)


@pytest.mark.parametrize("why_not", ["", "it falls asleep", "it is blind", "it leaves some"])
def test_it_wakes_up_in_time_to_say_that_it_is_awake_if_it_will(
    app: Flask, monkeypatch: pytest.MonkeyPatch, why_not: str
) -> None:
    """Who would wake up for what it does not do would wake up for it again at once."""
    del app
    with a_pump() as pump:
        pump._listener.stay_awake()
        pump._listener._awake_at = 0.0
        pump._duties.at = pump._looks.at = inf
        pump._looks.are_blind = why_not == "it is blind"
        pump._is_drowsy = why_not == "it falls asleep"
        monkeypatch.setattr(own_reach, "leaves_some", why_not == "it leaves some")
        assert pump._patience() == (inf if why_not else 0.0)


@pytest.mark.parametrize("is_blind", [True, False])
def test_who_waits_for_its_rest_has_it_look_at_once_unless_the_database_cannot_say(
    app: Flask, is_blind: bool
) -> None:
    del app
    with a_pump() as pump:
        pump._asked = pump._wake.ask()
        pump._looks.at, pump._looks.are_blind = inf, is_blind
        pump._listen()
        assert pump._wake.wait(pump._asked) is not is_blind


def test_what_it_has_given_back_it_looks_for_at_once(app: Flask) -> None:
    del app
    with a_pump() as pump:
        pump._returns.add(claims(1))
        pump._looks.at = inf
        pump._turn()
        assert (pump._looks.at, leases()) == (0.0, [])
        pump._looks.at = inf
        pump._turn()
        assert pump._looks.at == inf


def test_with_what_it_writes_it_claims_for_the_places_that_will_be_left(app: Flask) -> None:
    del app
    (first,) = claims(1)
    for number in range(3):
        publish(asset_id=number + 1)
    with a_pump(places=3, worker_max_in_flight=3) as pump:
        pump._recorder.add(ended(first))
        pump._recorder._kept_since = 0.0  # for long enough
        pump._flush(held=2)
        pump._go_on(pump._desk.take_up(20))
        assert (pump._flights.count, pump._recorder.is_empty) == (1, True)


def test_what_it_knows_of_is_not_given_back_when_an_answer_was_lost(app: Flask) -> None:
    del app
    flying, unsent, arrived, new, _unknown = made = claims(5)
    with a_pump() as pump:
        assert pump._flights.start(flying)
        pump._returns.add([unsent])
        pump._recorder.add(ended(arrived))
        pump._writer._unsure_until = pump._duties.at = inf
        pump._do_duties([new])
        pump._desk.take_up(20)
        assert {each.token for each in leases()} == {each.token for each in made[:4]}


def test_its_duties_leave_alone_what_it_has_still_to_write(app: Flask) -> None:
    del app
    kept, other = make_webhook(), make_webhook()
    for each in (kept, other):
        lease(make_delivery(each), -1)
    with a_pump() as pump:
        seen = []
        for is_behind in (True, False):
            pump._recorder.is_behind, pump._recorder.waits_for = is_behind, {kept.id}
            pump._duties.at = 0.0
            pump._do_duties([])
            seen.append([each.webhook_id for each in leases()])
    assert seen == [[kept.id, other.id], [kept.id]]
