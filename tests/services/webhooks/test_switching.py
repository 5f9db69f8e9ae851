"""Open deliveries of a webhook that is turned off, turned on, gone, or deleted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs import tasks as job
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.outbox.at_rest import NOT_DISMISSED
from portal.services.task_kinds import KINDS
from portal.services.webhooks import crud, sample_deliveries, turn_on_off
from portal.services.webhooks.rows import lock_webhook
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.support.database.rivals import Rival
from tests.support.deliveries import find_lease, lease
from tests.support.factories import Hook, make_user, make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")


def deliveries_of(hook: Hook) -> list[Delivery]:
    """Return the webhook's deliveries as stored now, oldest first."""
    current = session()
    current.rollback()
    query = select(Delivery).where(Delivery.webhook_id == hook.id).order_by(Delivery.id)
    return list(current.scalars(query))


def statuses(hook: Hook) -> list[str]:
    return [delivery.status for delivery in deliveries_of(hook)]


def change(hook: Hook, **columns: Any) -> None:
    """Put the webhook's deliveries into a state that only a dispatcher can cause."""
    with writing() as current:
        current.execute(update(Delivery).where(Delivery.webhook_id == hook.id).values(**columns))


def stored(hook: Hook) -> Webhook:
    current = session()
    current.rollback()
    return current.get_one(Webhook, hook.id)


def last_audit() -> AuditEntry:
    return session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()


def test_turning_off_holds_open_deliveries() -> None:
    ana, hook = make_user(), make_webhook()
    publish()
    turn_on_off.turn_off(ana.actor, hook.public_id)
    assert statuses(hook) == ["on_hold"]
    assert (stored(hook).state, stored(hook).off_reason) == ("off", "person")
    entry = last_audit()
    assert (entry.action, entry.actor_name) == ("webhook.turned_off", ana.name)


def test_turning_off_leaves_a_delivery_in_flight_alone() -> None:
    ana, hook = make_user(), make_webhook()
    publish()
    lease(deliveries_of(hook)[0].public_id)
    publish()
    turn_on_off.turn_off(ana.actor, hook.public_id)
    assert statuses(hook) == ["queued", "on_hold"]


def test_turning_off_holds_a_delivery_with_an_expired_lease() -> None:
    ana, hook = make_user(), make_webhook()
    publish()
    change(hook, tries=3, attempts=3)
    (delivery,) = deliveries_of(hook)
    lease(delivery.public_id, -60)
    turn_on_off.turn_off(ana.actor, hook.public_id)
    (delivery,) = deliveries_of(hook)
    assert (delivery.status, delivery.tries, delivery.attempts) == ("on_hold", 4, 4)
    assert find_lease(delivery.public_id) is None


def test_turning_off_leaves_tests_alone() -> None:
    ana, hook = make_user(), make_webhook()
    sample_deliveries.send_test(ana.actor, hook.public_id)
    turn_on_off.turn_off(ana.actor, hook.public_id)
    assert statuses(hook) == ["queued"]


def test_new_events_are_held_while_off_and_sent_when_turned_on() -> None:
    ana, hook = make_user(), make_webhook(state="off")
    publish()
    with pytest.raises(Refusal, match="send or dismiss"):
        turn_on_off.turn_on(ana.actor, hook.public_id)
    assert stored(hook).state == "off"
    turn_on_off.turn_on(ana.actor, hook.public_id, HeldChoice.SEND)
    (delivery,) = deliveries_of(hook)
    assert delivery.status == "queued"
    assert delivery.due_at <= utcnow() + timedelta(seconds=5)
    assert last_audit().changes["deliveries_send"] == {"from": None, "to": 1}


@pytest.mark.parametrize("is_long_work", [False, True])
def test_turning_on_can_dismiss_held_deliveries(
    monkeypatch: pytest.MonkeyPatch, is_long_work: bool
) -> None:
    if is_long_work:
        monkeypatch.setattr(dismissals, "MOST_TICKED", 1)
    ana, hook, other = make_user(), make_webhook(state="off"), make_webhook(state="off")
    for _ in range(2):
        publish()
    _, done = dismissals.turn_on(ana.actor, hook.public_id, "Out of date")
    publish()
    assert (done.task is not None) is is_long_work
    job.work(KINDS)
    dismissed = deliveries_of(hook)[:2]
    assert statuses(hook) == ["dismissed", "dismissed", "queued"]
    assert {(delivery.dismissed_by, delivery.dismissed_reason) for delivery in dismissed} == {
        (ana.name, "Out of date")
    }
    assert statuses(other) == ["on_hold"] * 3
    assert stored(hook).state == "active"


def test_turning_on_twice_is_audited_once() -> None:
    ana, hook = make_user(), make_webhook(state="off")
    turn_on_off.turn_on(ana.actor, hook.public_id)
    entries = len(list(session().scalars(select(AuditEntry.id))))
    turn_on_off.turn_on(ana.actor, hook.public_id)
    assert len(list(session().scalars(select(AuditEntry.id)))) == entries


def long_queue(count: int, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """Make a webhook with this many open deliveries and batches of three."""
    monkeypatch.setattr(turn_on_off, "HOLD_BATCH", 3)
    hook = make_webhook()
    for _ in range(count):
        publish()
    return hook


def by_a_person(hook: Hook) -> None:
    turn_on_off.turn_off(make_user().actor, hook.public_id)


def by_the_engine(hook: Hook) -> None:
    with writing() as current:
        turn_on_off.turn_off_gone(current, hook.id)


def by_deleting(hook: Hook) -> None:
    crud.delete(make_user().actor, hook.public_id)


@pytest.mark.parametrize(
    ("end", "status"),
    [(by_a_person, "on_hold"), (by_the_engine, "on_hold"), (by_deleting, "dismissed")],
)
def test_a_long_queue_is_held_or_dismissed_in_batches(
    end: Callable[[Hook], None], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording results must not wait for a queue of a hundred thousand."""
    hook = long_queue(7, monkeypatch)
    end(hook)
    assert statuses(hook) == [status] * 3 + ["queued"] * 4
    with writing() as current:
        assert dispatch_maintenance.maintain_on(current.connection()) == 3
    assert statuses(hook) == [status] * 6 + ["queued"]
    assert dispatch_maintenance.maintain() == 1


@pytest.mark.parametrize(("choice", "becomes"), [("send", "queued"), ("keep", "on_hold")])
def test_a_decision_covers_a_long_queue_as_a_whole(
    choice: str, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question covers deliveries that are not held yet, too."""
    monkeypatch.setattr(turn_on_off, "A_STATEMENT", 2)
    hook = long_queue(7, monkeypatch)
    by_a_person(hook)
    with pytest.raises(Refusal, match="send or dismiss"):
        turn_on_off.turn_on(make_user().actor, hook.public_id)
    turn_on_off.turn_on(make_user().actor, hook.public_id, HeldChoice(choice))
    assert statuses(hook) == [becomes] * 7


def test_deleting_dismisses_everything_and_frees_the_name() -> None:
    ana, hook = make_user(), make_webhook(secret="12345678", headers=[("X-Key", "k")])
    publish()
    sample_deliveries.send_test(ana.actor, hook.public_id)
    crud.delete(ana.actor, hook.public_id)
    assert statuses(hook) == ["dismissed", "dismissed"]
    dismissed = {
        (delivery.dismissed_by, delivery.dismissed_reason) for delivery in deliveries_of(hook)
    }
    assert dismissed == {(ana.name, "Webhook deleted")}
    row = stored(hook)
    assert (row.secret_enc, row.headers_enc, row.name) == (None, None, hook.name)
    make_webhook(name=hook.name)
    with pytest.raises(NotFound):
        turn_on_off.turn_off(ana.actor, hook.public_id)


def test_an_event_stored_during_a_deletion_is_dismissed_by_the_same_person() -> None:
    ana, hook = make_user(), make_webhook()
    publish()
    crud.delete(ana.actor, hook.public_id)
    change(hook, status="queued", prior_status=None, **NOT_DISMISSED, finished_at=None)
    with writing() as current:
        assert turn_on_off.hold_open(current.connection(), hook.id) == 1
    (delivery,) = deliveries_of(hook)
    assert (delivery.status, delivery.dismissed_by) == ("dismissed", ana.name)


def test_a_delivery_held_during_a_deletion_is_dismissed_by_maintenance() -> None:
    ana = make_user(name="Ana")
    hook = make_webhook(state="off")
    publish()
    crud.delete(ana.actor, hook.public_id)
    change(hook, status="on_hold", prior_status=None, **NOT_DISMISSED)
    assert dispatch_maintenance.maintain() == 1
    (delivery,) = deliveries_of(hook)
    assert (delivery.status, delivery.dismissed_by) == ("dismissed", "Ana")


@pytest.mark.both_databases
def test_an_event_is_stored_while_a_person_changes_its_webhook(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time.")
    hook, other = make_webhook(), Rival(app, publish)
    with writing() as current:
        lock_webhook(current, hook.public_id)
        other.come_to_a_lock()
        assert current.scalar(select(func.count()).select_from(Delivery)) == 1
    other.finish()
