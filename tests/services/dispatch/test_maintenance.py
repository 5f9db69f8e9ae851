"""Maintenance repairs leftovers and does not wait for locks of others."""

from datetime import timedelta
from itertools import count

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.webhooks import turn_on_off
from tests.support.deliveries import lease, make_delivery, stored
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases


def test_maintenance_does_not_wait_for_a_lock_on_a_recovered_webhook(app: Flask) -> None:
    """A Retry locks the webhook, then the delivery. The opposite order would deadlock."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite locks no rows")
    hook = make_webhook(reopened_at=utcnow())
    later = utcnow() + timedelta(hours=5)
    made = make_delivery(hook, status="retrying", due_at=later)
    with db.engine.begin() as somebody:
        somebody.execute(select(Webhook.id).with_for_update(key_share=True))
        assert dispatch_maintenance.maintain() == 0
        somebody.execute(select(Delivery.id).with_for_update(nowait=True))
    assert dispatch_maintenance.maintain() == 1
    assert stored(made)["due_at"] < later


def test_maintenance_spreads_a_backlog_without_its_locked_deliveries(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite locks no rows")
    hook, later = make_webhook(reopened_at=utcnow()), utcnow() + timedelta(hours=5)
    theirs, other = (make_delivery(hook, status="retrying", due_at=later) for _ in range(2))
    with db.engine.begin() as somebody:
        somebody.execute(select(Delivery).where(Delivery.public_id == theirs).with_for_update())
        assert dispatch_maintenance.maintain() == 1
    assert stored(theirs)["due_at"] == later
    assert stored(other)["due_at"] < later


def test_a_deleted_webhook_is_visited_only_while_deliveries_are_held(app: Flask) -> None:
    del app
    gone = make_webhook(deleted_at=utcnow())
    make_delivery(gone, status="dismissed")
    make_delivery(make_webhook(state="off"), status="on_hold")
    assert dispatch_maintenance.find_unwanted(db.session.connection()) == []
    assert dispatch_maintenance.maintain() == 0
    left = make_delivery(gone, status="on_hold")
    assert dispatch_maintenance.maintain() == 1
    assert stored(left)["status"] == "dismissed"


def test_webhooks_with_unwanted_deliveries_are_found_in_one_order(app: Flask) -> None:
    """Two processes that lock the same webhooks in different orders would deadlock."""
    del app
    numbers = [1_000_008, 1_000_001, 1_000_033, 1_000_016]
    for number in numbers:
        make_delivery(make_webhook(id=number, state="off"))
    assert dispatch_maintenance.find_unwanted(db.session.connection()) == sorted(numbers)


def test_a_round_puts_a_long_queue_to_rest_for_at_most_half_a_second(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    tenths = count()
    monkeypatch.setattr(dispatch_maintenance, "monotonic", lambda: next(tenths) / 10)
    monkeypatch.setattr(turn_on_off, "HOLD_BATCH", 1)
    hook = make_webhook(state="off")
    for _ in range(7):
        make_delivery(hook)
    assert [dispatch_maintenance.maintain() for _ in range(3)] == [5, 2, 0]


def test_the_backlog_of_a_recovered_webhook_is_spread_in_steps(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    monkeypatch.setattr(dispatch_maintenance, "SPREAD_A_STEP", 2)
    hook, now = make_webhook(reopened_at=utcnow()), utcnow()
    later = {"status": "retrying", "due_at": now + timedelta(hours=5)}
    made = [make_delivery(hook, **later) for _ in range(4)]
    other = make_delivery(**later)
    soon = now + timedelta(minutes=1, seconds=30)
    seen = []
    for _ in range(4):
        touched = dispatch_maintenance.maintain()
        spread = sum(stored(delivery)["due_at"] < soon for delivery in made)
        seen.append((touched, spread, reopened(hook.id)))
    assert seen == [(2, 2, True), (2, 4, True), (0, 4, False), (0, 4, False)]
    assert stored(other)["due_at"] == later["due_at"]


def reopened(row_id: int) -> bool:
    db.session.rollback()
    return db.session.get_one(Webhook, row_id).reopened_at is not None


def test_open_deliveries_of_a_webhook_deleted_while_on_are_dismissed(app: Flask) -> None:
    del app
    made = make_delivery(make_webhook(deleted_at=utcnow()))
    cut_off = make_delivery()
    lease(cut_off, -1)
    assert dispatch_maintenance.maintain() == 2
    assert (stored(made)["status"], stored(cut_off)["tries"]) == ("dismissed", 1)
