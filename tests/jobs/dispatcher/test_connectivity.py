"""A host that only this sender can't reach costs no attempt. A single receiver's refusal does.

Each address of 127.0.0.0/8 is a host.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from queue import Queue

import pytest
from flask import Flask
from sqlalchemy import Connection, update
from sqlalchemy.exc import OperationalError

from jobs.deliver import deliver_due, equip
from jobs.dispatcher import connectivity as connectivity_module
from jobs.dispatcher.connectivity import Connectivity
from portal.extensions import db, settings
from portal.models.deliveries import DeliveryStatus
from portal.models.webhooks import Webhook
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from portal.services.outbox.connectivity import Target, find_offline, find_targets
from tests.jobs.dispatcher.delivery_clock import attempts, deliveries, leases
from tests.jobs.dispatcher.running_sender import running_sender
from tests.support.database.statements import asked
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook, publish
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.receiver import Receiver

HOSTS = [f"127.0.0.{number}" for number in range(2, 6)]


@pytest.fixture
def receivers(app: Flask) -> Iterator[list[Receiver]]:
    """Yield four hosts, each with a delivered event."""
    del app
    with ExitStack() as stack:
        made = [stack.enter_context(Receiver(host=host)) for host in HOSTS]
        for receiver in made:
            make_webhook(receiver.url)
            receiver.answer(headers=[("Connection", "close")])
        publish()
        deliver_due()
        assert len(attempts()) == len(HOSTS)
        yield made


@pytest.fixture
def signed(app: Flask) -> None:
    """Write a heartbeat of this process."""
    del app
    with writing() as current:
        heartbeats.record_own(current.connection(), heartbeats.worker_of(DELIVERIES))


def outcomes() -> list[str]:
    return [attempt.outcome for attempt in attempts()][len(HOSTS) :]


def statuses() -> list[str]:
    return [delivery.status for delivery in deliveries()][len(HOSTS) :]


def offline() -> list[str]:
    db.session.rollback()
    return [host for finding in find_offline() for host in finding.hosts]


def failures() -> set[int]:
    db.session.rollback()
    return {webhook.failures_in_row for webhook in db.session.query(Webhook)}


@pytest.mark.usefixtures("signed")
def test_a_sender_that_is_cut_off_from_most_hosts_spends_no_attempt(
    app: Flask, receivers: list[Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    with running_sender(app):
        for each in receivers[1:]:
            each.stop()
        publish()
        assert until(lambda: offline() == HOSTS[1:], 10)
        publish()
        assert until(lambda: statuses().count("delivered") == 2, 5), "one host goes on"
        assert (outcomes(), leases()) == (["delivered"] * 2, [])
        assert set(statuses()) == {"queued", "delivered"}
        lines = [each for each in caplog.messages if "connect" in each]
        assert lines == [
            "Cannot connect to 127.0.0.3, 127.0.0.4, 127.0.0.5. No attempt is used up."
        ]
        for each in receivers[1:]:
            each.start()
        assert until(lambda: set(statuses()) == {"delivered"}, 5)
        assert until(lambda: offline() == [], 5)
    assert set(outcomes()) == {"delivered"}
    assert failures() == {0}
    assert {each.tries for each in deliveries()} == {1}
    assert caplog.messages[-1] == "Sending to 127.0.0.3, 127.0.0.4, 127.0.0.5 again."


def test_a_refusal_by_one_receiver_is_its_failure(receivers: list[Receiver]) -> None:
    receivers[0].stop()
    publish()
    deliver_due()
    assert sorted(outcomes()) == ["delivered"] * 3 + ["failed"]
    assert sorted(statuses()) == ["delivered"] * 3 + ["retrying"]


@pytest.mark.parametrize("is_well", [True, False])
def test_a_failure_during_a_check_waits_for_no_later_check(
    app: Flask, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch, is_well: bool
) -> None:
    """The running check decides. For a host without a success so far, the next one does, and it
    follows at once."""
    monkeypatch.setattr(connectivity_module, "PROBE_EVERY", 60.0)
    first, second = db.session.query(Webhook).order_by(Webhook.id)[:2]
    if not is_well:
        second = make_webhook(f"http://127.0.0.6:{free_port()}/")
    checks: Queue[None] = Queue()

    def find_when_told(connection: Connection) -> dict[str, Target]:
        checks.get(timeout=20)
        return find_targets(connection)

    with running_sender(app):
        monkeypatch.setattr(connectivity_module, "find_targets", find_when_told)
        receivers[0].stop()
        make_delivery(first)
        assert until(lambda: len(equip().connectivity.tokens) == 1, 10)
        receivers[1].stop()
        make_delivery(second)
        assert until(lambda: len(equip().connectivity.tokens) == 2, 10)
        for _ in range(1 if is_well else 2):
            checks.put(None)
        assert until(lambda: statuses() == ["retrying"] * 2, 4), statuses()


def test_a_single_host_does_not_show_whose_fault_it_is(app: Flask) -> None:
    """Two names or ports of one address count as one host."""
    del app
    port = free_port()
    with Receiver() as first, Receiver() as second:
        hooks = [make_webhook(each.url) for each in (first, second)]
        hooks.append(make_webhook(f"http://localhost:{port}/"))
        publish()
        deliver_due()
        first.stop()
        second.stop()
        publish()
        deliver_due()
    ended = [each for each in attempts() if each.outcome != "delivered"]
    assert {each.outcome for each in ended} == {"failed"}
    assert len(ended) == 3


def test_a_failed_inbox_delivery_counts_as_failed(receivers: list[Receiver]) -> None:
    inbox = make_webhook("", kind="inbox").id
    for receiver in receivers:
        receiver.stop()
    with writing() as current:
        others = update(Webhook).where(Webhook.id != inbox)
        current.execute(others.values(state="off"))
    publish()
    deliver_due()
    assert outcomes() == ["failed"], "nothing listens at our own address in tests"


@pytest.mark.usefixtures("signed")
def test_a_request_that_can_have_been_read_counts_as_interrupted(
    app: Flask, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its open connection has ended, and a new one fails."""
    for each in receivers:
        each.answer()
    publish()
    deliver_due()
    for each in receivers:
        each.answer(delay=30.0)
    with running_sender(app):
        publish()
        for each in receivers:
            each.wait_for(3)
        with monkeypatch.context() as patch:
            patch.setattr(Connectivity, "check", lambda *_: None)
            for each in receivers:
                each.stop()
            assert until(lambda: len(equip().connectivity._pending) == len(HOSTS), 10)
        assert until(lambda: offline() == HOSTS, 10)
        assert until(lambda: leases() == [], 5)
        assert outcomes()[len(HOSTS) :] == ["interrupted"] * len(HOSTS)
        assert {each.finished_at is not None for each in attempts()} == {True}
        assert statuses()[len(HOSTS) :] == ["queued"] * len(HOSTS)
        assert {each.tries for each in deliveries()[2 * len(HOSTS) :]} == {0}


@pytest.mark.usefixtures("signed")
def test_a_stopping_sender_releases_unjudged_deliveries(
    app: Flask, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sender(app):
        monkeypatch.setattr(Connectivity, "check", lambda *_: None)
        for receiver in receivers:
            receiver.stop()
        publish()
        connectivity = equip().connectivity
        assert until(lambda: len(connectivity._pending) == len(HOSTS), 10)
    assert (outcomes(), leases(), connectivity.tokens) == ([], [], set())
    assert set(statuses()) == {DeliveryStatus.QUEUED}


def raise_error(_connection: Connection) -> None:
    raise OperationalError("SELECT", {}, OSError("cut"))


@pytest.mark.usefixtures("signed")
def test_no_failure_is_judged_while_the_list_of_hosts_is_unavailable(
    app: Flask, receivers: list[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connectivity_module, "PROBE_EVERY", 0.1)
    connectivity = equip().connectivity
    with running_sender(app):
        with monkeypatch.context() as patch:
            patch.setattr(connectivity_module, "find_targets", raise_error)
            for receiver in receivers:
                receiver.stop()
            publish()
            assert until(lambda: len(connectivity._pending) == len(HOSTS), 10)
            assert not until(lambda: not connectivity.tokens, 0.5)
        assert until(lambda: offline() == HOSTS, 10)
    assert outcomes() == []


def test_an_unchanged_connectivity_status_is_not_written(app: Flask) -> None:
    del app
    connectivity = Connectivity(settings(), lambda: None)
    connectivity.write_status(db.engine)
    with asked(db.engine) as statements:
        connectivity.write_status(db.engine)
    assert statements == []
    connectivity.close()


@pytest.mark.parametrize(("host", "status"), [("localhost", "retrying"), ("127.0.0.1", "failed")])
def test_only_a_blocked_ip_address_fails_without_a_retry(
    app: Flask, monkeypatch: pytest.MonkeyPatch, host: str, status: str
) -> None:
    nothing_open = replace(settings(), webhook_allowed_networks=())
    monkeypatch.setitem(app.extensions, "settings", nothing_open)
    make_webhook(f"http://{host}:81/")
    publish()
    deliver_due()
    (row,) = deliveries()
    assert (row.status, row.reason) == (status, "blocked")
