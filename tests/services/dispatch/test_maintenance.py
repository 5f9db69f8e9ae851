"""Maintenance puts right what nobody else will, and stands in nobody's way."""

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


def test_it_waits_for_nobody_who_works_at_a_webhook_that_is_well_again(app: Flask) -> None:
    """A Retry locks the webhook, then the delivery: the other way round they would wait in a
    ring."""
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


def test_what_somebody_has_locked_is_spread_without_it(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite locks no rows")
    hook, later = make_webhook(reopened_at=utcnow()), utcnow() + timedelta(hours=5)
    theirs, other = (make_delivery(hook, status="retrying", due_at=later) for _ in range(2))
    with db.engine.begin() as somebody:
        somebody.execute(select(Delivery).where(Delivery.public_id == theirs).with_for_update())
        assert dispatch_maintenance.maintain() == 1
    assert stored(theirs)["due_at"] == later
    assert stored(other)["due_at"] < later


def test_it_looks_at_a_deleted_webhook_only_while_something_is_held_there(app: Flask) -> None:
    del app
    gone = make_webhook(deleted_at=utcnow())
    make_delivery(gone, status="dismissed")
    make_delivery(make_webhook(state="off"), status="on_hold")
    assert dispatch_maintenance.find_unwanted(db.session.connection()) == []
    assert dispatch_maintenance.maintain() == 0
    left = make_delivery(gone, status="on_hold")
    assert dispatch_maintenance.maintain() == 1
    assert stored(left)["status"] == "dismissed"


def test_what_is_to_be_put_to_rest_is_locked_in_one_order(app: Flask) -> None:
    """Two that lock the same webhooks in two orders would wait for each other."""
    del app
    numbers = [1_000_008, 1_000_001, 1_000_033, 1_000_016]
    for number in numbers:
        make_delivery(make_webhook(id=number, state="off"))
    assert dispatch_maintenance.find_unwanted(db.session.connection()) == sorted(numbers)


def test_a_long_queue_is_put_to_rest_for_half_a_second_and_then_by_the_next_round(
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


def test_what_waits_for_one_that_is_well_again_is_spread_in_steps(
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
        spread = sum(stored(each)["due_at"] < soon for each in made)
        seen.append((touched, spread, reopened(hook.id)))
    assert seen == [(2, 2, True), (2, 4, True), (0, 4, False), (0, 4, False)]
    assert stored(other)["due_at"] == later["due_at"]


def reopened(row_id: int) -> bool:
    db.session.rollback()
    return db.session.get_one(Webhook, row_id).reopened_at is not None


def test_what_is_open_at_a_webhook_that_was_deleted_is_stopped_also_if_it_was_on(
    app: Flask,
) -> None:
    del app
    made = make_delivery(make_webhook(deleted_at=utcnow()))
    cut_off = make_delivery()
    lease(cut_off, -1)
    assert dispatch_maintenance.maintain() == 2
    assert (stored(made)["status"], stored(cut_off)["tries"]) == ("dismissed", 1)
