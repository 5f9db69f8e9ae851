"""What a webhook is seen by at a glance: in lists, and in the banner above every page."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import OffReason, WebhookState
from portal.services.webhooks import queries
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases


def test_its_last_delivery_is_the_youngest_of_its_own_that_is_no_test(app: Flask) -> None:
    hook, other, fresh = make_webhook(), make_webhook(), make_webhook()
    make_delivery(hook, status="delivered", finished_at=utcnow())
    youngest = make_delivery(hook, status="failed", reason="dns", finished_at=utcnow())
    make_delivery(hook, priority=Priority.TEST)
    others = make_delivery(other)
    make_delivery(fresh, priority=Priority.TEST)
    last = {row.public_id: row.last for row in queries.list_webhooks().rows}
    found = {public_id: each and each.public_id for public_id, each in last.items()}
    assert found == {
        hook.public_id: youngest,
        other.public_id: others,
        fresh.public_id: None,
    }


def test_it_is_said_whether_any_of_its_own_did_not_arrive_for_good_or_so_far(app: Flask) -> None:
    every: dict[str, list[dict[str, Any]]] = {
        "A": [{"status": "failed"}, {"status": "delivered"}, {"status": "failed"}],
        "B": [{"status": "retrying"}, {"status": "retrying"}],
        "C": [{"status": "delivered"}, {"status": "queued"}, {"status": "dismissed"}],
        "D": [{"status": "failed", "priority": Priority.TEST}, {"status": "on_hold"}],
    }
    for name, deliveries in every.items():
        hook = make_webhook(name=name)
        for columns in deliveries:
            make_delivery(hook, **columns)
    rows = queries.list_webhooks(order=queries.WebhookOrder.NAME).rows
    found = {row.name: row.has_missing for row in rows}
    assert found == {"A": True, "B": True, "C": False, "D": False}


def test_when_we_turn_it_off_is_told_as_long_as_it_is_on(app: Flask) -> None:
    since = utcnow() - timedelta(days=4, hours=12)
    fails: dict[str, Any] = {"failures_in_row": 50, "failing_since": since}
    on, off = make_webhook(**fails), make_webhook(state=WebhookState.OFF, **fails)
    ends = {row.public_id: row.turns_off_at for row in queries.list_webhooks().rows}
    assert ends == {on.public_id: since + timedelta(days=5), off.public_id: None}
    assert queries.show(on.public_id).turns_off_at == since + timedelta(days=5)
    assert queries.show(off.public_id).turns_off_at is None


def test_those_in_trouble_are_named_in_the_order_of_their_names(app: Flask) -> None:
    hour_ago = utcnow() - timedelta(hours=1)
    off = {"state": WebhookState.OFF, "off_reason": OffReason.GONE, "off_at": utcnow()}
    for name in ("Payroll", "Archive", "Library"):
        make_webhook(name=name, **off)
    make_webhook(name="Fleet", failures_in_row=20, failing_since=hour_ago)
    make_webhook(name="Well")
    make_webhook(name="Old", state=WebhookState.OFF, off_reason=OffReason.PERSON)
    make_webhook(name="Deleted", deleted_at=utcnow(), **off)
    make_webhook(name="Once", failures_in_row=1, failing_since=utcnow(), throttled=True)
    found = queries.troubles()
    names = ["Archive", "Fleet", "Library", "Once", "Payroll"]
    assert [each.name for each in found] == names
    assert [each.name for each in found if not each.is_urgent] == ["Once"]
    marked = [each.name for each in queries.list_webhooks().rows if each.needs_attention]
    assert sorted(marked) == names


def test_in_order_the_next_attempt_is_the_heads_and_a_retry_waits_for_nobody(app: Flask) -> None:
    hour, minute = utcnow() + timedelta(hours=1), utcnow() + timedelta(minutes=4)
    ordered = make_webhook(in_order=True, failures_in_row=1, failing_since=utcnow())
    make_delivery(ordered, status="retrying", due_at=hour)
    make_delivery(ordered)
    assert queries.show(ordered.public_id).next_attempt_at == hour
    paused = make_webhook(throttled=True, backoff_until=minute)
    make_delivery(paused)
    assert queries.show(paused.public_id).next_attempt_at == minute
    late = make_webhook(throttled=True, backoff_until=minute)
    make_delivery(late, status="retrying", due_at=hour)
    assert queries.show(late.public_id).next_attempt_at == hour
    make_delivery(paused, status="queued", prior_status="failed", priority=Priority.INTERACTIVE)
    soon = queries.show(paused.public_id).next_attempt_at
    assert soon is not None
    assert soon < minute


def test_a_trouble_is_told_since_it_began_with_why(app: Flask) -> None:
    began, before = utcnow() - timedelta(hours=1), utcnow() - timedelta(days=9)
    off: dict[str, Any] = {"state": WebhookState.OFF, "off_reason": OffReason.GONE}
    off |= {"updated_at": before}
    make_webhook(name="A", off_at=began, **off)
    make_webhook(name="B", **off)
    make_webhook(name="C", failures_in_row=9, failing_since=began)
    make_webhook(name="D", throttled=True, updated_at=before)
    found = queries.troubles()
    assert [(each.name, each.since) for each in found] == [
        ("A", began),
        ("B", before),
        ("C", began),
        ("D", before),
    ]
    assert [each.off_reason for each in found] == [OffReason.GONE] * 2 + [None] * 2
    assert [each.news for each in found] == ["off"] * 2 + ["attention"] * 2
    assert [each.is_urgent for each in found] == [True, True, True, False]
