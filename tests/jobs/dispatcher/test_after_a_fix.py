"""After a fix, the webhook gets attempts at once and its waiting deliveries can be sent. It counts
as failing until a delivery succeeds."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from portal.database.engine import database_now
from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.webhooks import crud, secrets, turn_on_off
from portal.services.webhooks.held_deliveries import count_waiting, resume
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.jobs.dispatcher.delivery_clock import (
    claim,
    deliveries,
    ended,
    make_due,
    webhook,
    write_down,
)
from tests.support.factories import Hook, make_user, make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")

AUTH = Reason.AUTH  # an explicit refusal causes no pause, so nothing resumes by itself


@pytest.fixture
def ana() -> Actor:
    """Return an administrator."""
    return make_user().actor


def failing(count: int = 3, reason: Reason = AUTH) -> Hook:
    """Return a webhook that fails for this reason. Its failed deliveries wait for hours."""
    hook = make_webhook("https://erp.example.com/hook", events=("asset.created",))
    for number in range(count):
        publish(asset_id=number + 1)
    write_down(*(ended(claimed, reason) for claimed in claim()))
    with writing() as current:
        later = database_now(current.connection()) + timedelta(hours=5)
        current.execute(update(Delivery).values(due_at=later))
    assert webhook(hook.id).failures_in_row == count
    return hook


def entered(hook: Hook, **changes: Any) -> WebhookValues:
    now = webhook(hook.id)
    values = {"name": now.name, "url": now.url, "events": ("asset.created",)}
    return WebhookValues(**{**values, "secret_mode": SecretMode.KEEP, **changes})


def edit(hook: Hook, actor: Actor, **changes: Any) -> None:
    crud.edit(actor, hook.public_id, webhook(hook.id).version, entered(hook, **changes))


def waits(hook: Hook) -> int:
    session().rollback()
    return count_waiting(session(), session().get_one(Webhook, hook.id))


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://new.example.com/hook"},
        {"secret_mode": SecretMode.OWN, "secret": "a long secret of my own 4f2a"},
        {"headers": (("X-Key", "a new value"),)},
    ],
)
@pytest.mark.parametrize("reason", [AUTH, Reason.REFUSED, Reason.SERVER])
def test_changed_settings_end_the_pause_and_a_success_ends_the_failing(
    ana: Actor, changes: dict[str, Any], reason: Reason
) -> None:
    hook = failing(reason=reason)
    assert waits(hook) == (3 if reason is Reason.REFUSED else 0)  # a person can end a pause
    since = webhook(hook.id).failing_since
    edit(hook, ana, **changes)
    now = webhook(hook.id)
    assert (now.failures_in_row, now.failing_since) == (0, since)
    assert now.changed_at is not None
    assert (now.throttled, now.backoff_seconds, now.backoff_until) == (False, 0, None)
    assert waits(hook) == 3
    publish()
    write_down(*(ended(claimed) for claimed in claim()))
    assert webhook(hook.id).failing_since is None


def test_new_settings_get_five_attempts_after_days_of_failing(ana: Actor) -> None:
    hook = failing(reason=Reason.SERVER)
    with writing() as current:
        current.get_one(Webhook, hook.id).failing_since = utcnow() - timedelta(days=6)
    edit(hook, ana, url="https://new.example.com/hook")
    for number in range(1, 6):
        publish(asset_id=50 + number)
        write_down(*(ended(each, Reason.SERVER) for each in claim()))
        now = webhook(hook.id)
        assert (now.failures_in_row, now.state) == (number, "active" if number < 5 else "off")


def test_the_switch_to_the_new_key_resets_the_failure_count(ana: Actor) -> None:
    hook = failing()
    with writing() as current:
        current.get_one(Webhook, hook.id).old_secret_enc = b"sealed"
    before = webhook(hook.id).version
    secrets.switch_now(ana, hook.public_id)
    assert webhook(hook.id).failures_in_row == 0
    assert webhook(hook.id).changed_at is not None
    assert webhook(hook.id).version == before + 1


def test_resume_sends_waiting_deliveries_within_a_minute(ana: Actor) -> None:
    hook = failing(4)
    edit(hook, ana, url="https://new.example.com/hook")
    support = make_user("support").actor
    assert resume(support, hook.public_id).total == 4
    assert (waits(hook), resume(support, hook.public_id).total) == (0, 0)
    dispatch_maintenance.maintain()
    with writing() as current:
        soon = database_now(current.connection()) + timedelta(minutes=1)
    assert all(delivery.due_at <= soon for delivery in deliveries())
    entry = session().query(AuditEntry).filter_by(action="webhook.waiting_sent").one()
    assert (entry.actor_name, entry.changes["deliveries"]["to"]) == (support.name, 4)


def test_resume_needs_the_retry_permission_and_an_active_webhook(ana: Actor) -> None:
    hook = failing()
    with pytest.raises(NotAllowed):
        resume(make_user("manager").actor, hook.public_id)
    assert resume(ana, hook.public_id).total == 0  # it still fails
    turn_on_off.turn_off(ana, hook.public_id)
    with pytest.raises(Refusal, match="is off"):
        resume(ana, hook.public_id)


def test_resume_in_a_pause_sends_one_probe_before_the_others(ana: Actor) -> None:
    hook = failing(reason=Reason.REFUSED)
    length, since = webhook(hook.id).backoff_seconds, webhook(hook.id).failing_since
    assert (waits(hook), claim()) == (3, [])
    support = make_user("support").actor
    assert resume(support, hook.public_id).total == 3
    assert (waits(hook), resume(support, hook.public_id).total) == (0, 0)
    now = webhook(hook.id)
    assert (now.backoff_until, now.throttled) == (None, True)
    assert (now.failures_in_row, now.failing_since) == (3, since)
    assert len(session().query(AuditEntry).filter_by(action="webhook.waiting_sent").all()) == 1
    make_due()
    (probe,) = claim()
    write_down(ended(probe, Reason.REFUSED))
    assert webhook(hook.id).backoff_seconds == 2 * length
    assert sorted(each.tries for each in deliveries()) == [1, 1, 2]
    assert resume(support, hook.public_id).total == 3
    make_due()
    write_down(*(ended(each) for each in claim()))
    make_due()
    assert len(claim()) == 2
