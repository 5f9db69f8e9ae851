"""A secret that a sender's keys do not open costs no attempt: the right keys may be found."""

from collections.abc import Iterator

import pytest
from flask import Flask

from jobs.deliver import deliver_due
from portal.services.core import heartbeats, vault
from portal.services.operations.findings import find
from portal.services.operations.health import read_facts
from tests.jobs.dispatcher.delivery_clock import attempts, deliveries, leases
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.factories import make_webhook, publish
from tests.support.heartbeats import record_own
from tests.support.receiver import Receiver


@pytest.fixture
def keys(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keys]:
    vault.check_keys()
    heartbeats.take_notes()
    yield Keys(app, monkeypatch)
    heartbeats.take_notes()


def test_with_the_wrong_keys_it_waits_and_with_the_right_ones_it_goes(
    keys: Keys, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    closed = make_webhook(receiver.url, name="Sync", secret="the secret of it")
    make_webhook(receiver.url)
    for number in range(12):  # more than a webhook gets at once
        publish(asset_id=number + 1)
    keys.become(NEW_KEY)
    deliver_due()
    assert len(receiver.received) == 12
    waiting = [each for each in deliveries() if each.webhook_id == closed.id]
    assert {(each.status, each.tries, each.attempts) for each in waiting} == {("queued", 0, 0)}
    assert len(attempts()) == 12
    assert leases() == []
    lines = [each for each in caplog.messages if "Nothing is sent to webhook" in each]
    assert len(lines) == 1
    assert str(closed.public_id) in lines[0]

    assert read_facts().undecryptable == ()  # nobody has said so yet
    record_own("worker deliveries", *heartbeats.take_notes())
    assert read_facts().undecryptable == ["Sync"]
    keys.become(*keys.old)  # as another process has them
    facts = read_facts()
    (finding,) = [each for each in find(facts, facts.at) if each.key == "secrets_closed"]
    assert finding.level == "danger"
    deliver_due()
    assert {each.status for each in deliveries()} == {"delivered"}
    assert len(receiver.received) == 24
