"""The summary of a webhook in lists: its last delivery, and the time when we turn it off."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import WebhookState
from portal.services.webhooks import queries
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases


def test_the_last_delivery_is_the_newest_of_the_webhook_that_is_no_test(app: Flask) -> None:
    hook, other, fresh = make_webhook(), make_webhook(), make_webhook()
    make_delivery(hook, status="delivered", finished_at=utcnow())
    youngest = make_delivery(hook, status="failed", reason="dns", finished_at=utcnow())
    make_delivery(hook, priority=Priority.TEST)
    others = make_delivery(other)
    make_delivery(fresh, priority=Priority.TEST)
    last = {row.public_id: row.last for row in queries.list_webhooks().rows}
    last_ids = {public_id: delivery and delivery.public_id for public_id, delivery in last.items()}
    assert last_ids == {
        hook.public_id: youngest,
        other.public_id: others,
        fresh.public_id: None,
    }


def test_the_turn_off_time_is_shown_only_while_the_webhook_is_on(app: Flask) -> None:
    since = utcnow() - timedelta(days=4, hours=12)
    fails: dict[str, Any] = {"failures_in_row": 50, "failing_since": since}
    on, off = make_webhook(**fails), make_webhook(state=WebhookState.OFF, **fails)
    ends = {row.public_id: row.turns_off_at for row in queries.list_webhooks().rows}
    assert ends == {on.public_id: since + timedelta(days=5), off.public_id: None}
    assert queries.show(on.public_id).turns_off_at == since + timedelta(days=5)
    assert queries.show(off.public_id).turns_off_at is None
