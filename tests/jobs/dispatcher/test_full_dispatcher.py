"""A dispatcher with full slots claims no more than it can start."""

from dataclasses import replace

import pytest
from flask import Flask

from jobs.deliver import equip, new_dispatcher
from jobs.dispatcher import loop
from jobs.stop_flag import stop
from portal.extensions import settings
from portal.services.webhooks import sample_deliveries
from tests.jobs.dispatcher.delivery_clock import claim, deliveries
from tests.support.factories import make_user, make_webhook, publish
from tests.support.receiver import Receiver


@pytest.fixture(autouse=True)
def no_lease_runs_out(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep leases longer than a slow machine needs."""
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), lease_margin=60))


@pytest.mark.parametrize("places", [1, 2, 5])
def test_a_claim_never_exceeds_its_slots(app: Flask, places: int) -> None:
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


def test_a_full_dispatcher_waits_only_for_responses(
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
