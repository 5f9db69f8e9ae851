"""The dispatcher's requests to the transport, and claims whose requests are never sent."""

from collections.abc import Iterator

import pytest
from flask import Flask

from jobs.dispatcher import in_flight as in_flight_module
from jobs.dispatcher.database import DatabaseExecutor
from jobs.dispatcher.in_flight import InFlight
from jobs.dispatcher.result_batches import ResultBatches
from portal.engine.http import transport as transport_module
from portal.engine.http.curl_handle import CONNECT_TIMEOUT
from portal.engine.http.transport import Transport
from portal.engine.retry_policy import AttemptKind
from portal.extensions import db, settings
from portal.models.deliveries import AttemptBody
from portal.services.core import heartbeats
from portal.services.dispatch import request
from portal.services.dispatch.claim import Claim
from portal.services.webhooks.rows import opening
from tests.jobs.dispatcher.delivery_clock import attempts, claim, only_delivery
from tests.jobs.outage import Clock
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.factories import make_webhook, publish


@pytest.fixture
def transport(app: Flask) -> Iterator[Transport]:
    """Yield a transport that nothing drives, so its requests aren't sent."""
    del app
    made = Transport(request.guard(settings()), max_in_flight=32)
    yield made
    made.close()


@pytest.fixture
def kept(database: DatabaseExecutor) -> ResultBatches:
    return ResultBatches(database)


@pytest.fixture
def in_flight(transport: Transport) -> InFlight:
    return InFlight(settings(), transport)


def claims_of(*urls: str, secret: str | None = None) -> list[Claim]:
    for url in urls:
        make_webhook(url, secret=secret)
    publish()
    return claim()


def test_requests_have_their_timeouts_and_connections(
    transport: Transport, in_flight: InFlight, kept: ResultBatches
) -> None:
    (usual,) = claims_of("http://127.0.0.1:9/")
    test = usual._replace(kind=AttemptKind.TEST)
    inbox = usual._replace(webhook=usual.webhook._replace(kind="inbox"))
    for each in (usual, inbox, test):
        assert in_flight.start(each, kept.add)
    asked = [each.order for each in transport._busy.values() if each.order]
    assert [(each.opens, each.is_fresh, each.patience) for each in asked] == [
        (None, False, CONNECT_TIMEOUT),
        (opening(), False, CONNECT_TIMEOUT),
        (None, True, CONNECT_TIMEOUT),
    ]
    assert {each.timeout for each in asked} == {settings().webhook_timeout}
    assert (in_flight.count, in_flight.tokens) == (3, {usual.token})


@pytest.mark.parametrize(("is_in_trouble", "waiting"), [(True, 1), (False, 0)])
def test_the_name_lookup_of_a_failing_receiver_queues_behind_others(
    transport: Transport,
    in_flight: InFlight,
    kept: ResultBatches,
    is_in_trouble: bool,
    waiting: int,
) -> None:
    for claimed in claims_of(*(f"http://n{number}.example.com/" for number in range(6))):
        throttled = claimed.webhook._replace(throttled=is_in_trouble)
        assert in_flight.start(claimed._replace(webhook=throttled), kept.add)
    assert transport._lookups.waiting == waiting


def test_a_request_without_a_connection_for_a_second_is_unheard(
    in_flight: InFlight, kept: ResultBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except for tests, the inbox, and receivers that already fail."""
    clock = Clock()
    monkeypatch.setattr(transport_module, "monotonic", clock.monotonic)
    early, late = claims_of("http://127.0.0.1:9/", "http://127.0.0.1:9/")
    seen = []
    for claimed in (early, late):
        for other in (
            claimed,
            claimed._replace(kind=AttemptKind.TEST),
            claimed._replace(webhook=claimed.webhook._replace(kind="inbox")),
            claimed._replace(webhook=claimed.webhook._replace(throttled=True)),
        ):
            assert in_flight.start(other, kept.add)
        for later in (0.49, 0.49):
            clock.now += later
            seen.append(in_flight.unheard())
    assert seen == [{}, {}, {1: early}, {1: early}]
    clock.now += 0.1
    assert in_flight.unheard() == {1: early, 5: late}
    assert in_flight.abort({1}) == ([], [early])
    assert in_flight.unheard() == {5: late}


def test_a_webhook_with_an_unreadable_secret_is_skipped_for_a_minute(
    app: Flask,
    in_flight: InFlight,
    kept: ResultBatches,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    monkeypatch.setattr(in_flight_module, "monotonic", clock.monotonic)
    (closed,) = claims_of("http://127.0.0.1:9/", secret="the secret of it")
    Keys(app, monkeypatch).become(NEW_KEY)
    heartbeats.take_notes()
    assert not in_flight.start(closed, kept.add)
    assert heartbeats.take_notes() == (heartbeats.UNDECRYPTABLE_SECRET,)
    clock.now += 30
    assert not in_flight.start(closed, kept.add)
    heartbeats.take_notes()
    seen = []
    for later in (30.0, 29.9, 0.2):
        clock.now += later
        seen.append((set(in_flight.undecryptable), len(caplog.messages)))
    own = {closed.webhook.id}
    assert seen == [(own, 1), (own, 1), (set(), 1)]
    assert not in_flight.start(closed, kept.add)
    heartbeats.take_notes()
    start = f"Nothing is sent to webhook {closed.webhook.public_id} for a minute: "
    assert [line.startswith(start) for line in caplog.messages] == [True, True]
    assert in_flight.count == 0


def test_a_failed_signature_is_recorded_as_an_attempt_with_its_reason(
    in_flight: InFlight, kept: ResultBatches, caplog: pytest.LogCaptureFixture
) -> None:
    (unsigned,) = claims_of("http://127.0.0.1:9/", secret="whsec_no base64")
    assert in_flight.start(unsigned, kept.add)
    assert in_flight.count == 0
    assert kept.write(None, in_background=False)
    (attempt,), delivery = attempts(), only_delivery()
    why = db.session.get_one(AttemptBody, attempt.id).detail
    assert (delivery.status, delivery.reason, attempt.outcome) == ("retrying", "internal", "failed")
    assert why.startswith("Copy the whole secret key again")
    message = f"Delivery {delivery.public_id} cannot be signed: {why}"
    assert [line for line in caplog.messages if "signed" in line] == [message]
