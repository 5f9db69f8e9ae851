"""A failing receiver is paused, probed, and caught up with. Manual retries are always allowed."""

from datetime import timedelta

import pytest

from jobs.deliver import deliver_due
from portal.database.engine import database_now
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.outbox import claimable
from tests.jobs.dispatcher.delivery_clock import (
    deliveries,
    end_pause,
    make_due,
    only_delivery,
    webhook,
)
from tests.support.factories import make_webhook, publish
from tests.support.ports import free_port
from tests.support.receiver import Receiver

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def nobody_there() -> str:
    """Return a loopback URL that refuses connections."""
    return f"http://127.0.0.1:{free_port()}/"


def publish_many(count: int) -> None:
    for number in range(count):
        publish(asset_id=number + 1)


def test_deliveries_waiting_for_a_paused_receiver_spend_no_attempts(receiver: Receiver) -> None:
    hook = make_webhook(receiver.url)
    receiver.answer(status=503)
    publish_many(12)
    deliver_due()
    assert webhook(hook.id).throttled
    assert len(receiver.received) == 8  # the requests in flight when it broke
    waiting = [delivery for delivery in deliveries() if delivery.status == "queued"]
    assert len(waiting) == 4
    assert {delivery.tries for delivery in waiting} == {0}
    assert not claimable.has_claimable()


def test_a_success_ends_the_pause_and_the_rest_follows_within_a_minute(receiver: Receiver) -> None:
    hook = make_webhook(receiver.url)
    receiver.answer(status=503)
    publish_many(12)
    deliver_due()
    with writing() as current:  # the failed deliveries wait for a late retry
        far = database_now(current.connection()) + timedelta(hours=5)
        for delivery in deliveries():
            if delivery.status == "retrying":
                current.merge(delivery).due_at = far
    receiver.answer(status=200)
    end_pause()
    deliver_due()
    assert not webhook(hook.id).throttled
    dispatch_maintenance.maintain()
    with writing() as current:
        soon = database_now(current.connection()) + timedelta(seconds=61)
    rest = [delivery for delivery in deliveries() if delivery.status == "retrying"]
    assert len(rest) == 8
    assert all(delivery.due_at <= soon for delivery in rest)
    assert webhook(hook.id).reopened_at is None
    make_due()
    deliver_due()
    assert {delivery.status for delivery in deliveries()} == {"delivered"}


def test_a_retry_after_header_sets_the_pause(receiver: Receiver) -> None:
    hook = make_webhook(receiver.url)
    receiver.answer(status=429, headers=[("Retry-After", "120")])
    publish()
    deliver_due()
    with writing() as current:
        now = database_now(current.connection())
    pause = webhook(hook.id).backoff_until - now
    assert timedelta(seconds=110) < pause <= timedelta(seconds=120)
    assert only_delivery().due_at - now > timedelta(seconds=110)


def test_a_broken_receiver_does_not_delay_other_webhooks(receiver: Receiver) -> None:
    broken = make_webhook(nobody_there())
    make_webhook(receiver.url)
    publish_many(3)
    deliver_due()
    assert len(receiver.received) == 3
    assert webhook(broken.id).throttled
