"""What a webhook is seen by at a glance: in lists, and in the banner above every page."""

from datetime import timedelta

from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import OffReason, WebhookState
from portal.services.webhooks import queries
from portal.services.webhooks.notices import banners
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook


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


def test_those_in_trouble_are_named_in_the_order_of_their_names(app: Flask) -> None:
    hour_ago = utcnow() - timedelta(hours=1)
    off = {"state": WebhookState.OFF, "off_reason": OffReason.GONE, "off_at": utcnow()}
    for name in ("Payroll", "Archive", "Library"):
        make_webhook(name=name, **off)
    make_webhook(name="Fleet", failures_in_row=20, failing_since=hour_ago)
    make_webhook(name="Well")
    make_webhook(name="Old", state=WebhookState.OFF, off_reason=OffReason.PERSON)
    make_webhook(name="Once", failures_in_row=1, failing_since=utcnow(), throttled=True)
    found = banners.troubles()
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
    assert queries.show(ordered.public_id).next_try_at == hour
    paused = make_webhook(throttled=True, not_before=minute)
    make_delivery(paused)
    assert queries.show(paused.public_id).next_try_at == minute
    late = make_webhook(throttled=True, not_before=minute)
    make_delivery(late, status="retrying", due_at=hour)
    assert queries.show(late.public_id).next_try_at == hour
    make_delivery(paused, status="waiting", prior_status="failed", priority=Priority.INTERACTIVE)
    soon = queries.show(paused.public_id).next_try_at
    assert soon is not None
    assert soon < minute
