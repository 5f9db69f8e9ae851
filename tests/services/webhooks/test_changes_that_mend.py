"""A person's change can fix a webhook, and a decision covers only the deliveries it was made on."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.webhooks import Webhook
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals
from portal.services.webhooks import crud, held_deliveries, secrets, turn_on_off
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.held_deliveries import HeldDecision, Rest
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import Person, make_user, make_webhook
from tests.support.notifications import notifications

pytestmark = pytest.mark.usefixtures("app")
HEADERS = (("X-Site", "north"),)
LONG_AGO = datetime(2026, 3, 7, tzinfo=UTC)
IN_TROUBLE: dict[str, Any] = {
    "failures_in_row": 7,
    "throttled": True,
    "backoff_seconds": 300,
    "backoff_until": datetime(2999, 1, 1, tzinfo=UTC),
    "failing_since": LONG_AGO,
    "stopped_for": 600,
    "updated_at": LONG_AGO,
}
Change = Callable[[Person, UUID], object]


@pytest.fixture
def ada(app: Flask) -> Person:
    return make_user("admin", name="Ada")


def values(**changes: Any) -> WebhookValues:
    entered: dict[str, Any] = {
        "name": "ERP",
        "url": "https://erp.example.com/hook",
        "events": ("asset.lost",),
        "secret_mode": SecretMode.KEEP,
        "headers": HEADERS,
    }
    return WebhookValues(**entered | changes)


def edit(**changes: Any) -> Change:
    def change(by: Person, public_id: UUID) -> object:
        return crud.edit(by.actor, public_id, row(public_id).version, values(**changes))

    return change


def row(public_id: UUID) -> Webhook:
    session().rollback()
    return session().scalars(select(Webhook).where(Webhook.public_id == public_id)).one()


def made_in_trouble(by: Person) -> UUID:
    """Make a webhook with a replaced secret and without a successful delivery."""
    first = values(secret_mode=SecretMode.OWN, secret="the first long pass phrase 1111")
    public_id = crud.create(by.actor, first)
    edit(secret_mode=SecretMode.OWN, secret="the other long pass phrase 2222")(by, public_id)
    with writing() as current:
        current.execute(update(Webhook).values(**IN_TROUBLE))
    return public_id


def health(webhook: Webhook) -> tuple[object, ...]:
    return (
        webhook.failures_in_row,
        webhook.throttled,
        webhook.backoff_seconds,
        webhook.backoff_until,
    )


@pytest.mark.parametrize(
    ("change", "mends"),
    [
        (edit(url="https://erp.example.com/other"), True),
        (edit(headers=(("X-Site", "south"),)), True),
        (edit(secret_mode=SecretMode.GENERATE), True),
        (edit(format="slack"), True),
        (lambda by, public_id: secrets.switch_now(by.actor, public_id), True),
        (edit(name="ERP 2"), False),
        (edit(events=("asset.created",)), False),
        (edit(), False),
    ],
)
def test_a_change_that_can_fix_a_webhook_causes_an_attempt_at_once(
    ada: Person, change: Change, mends: bool
) -> None:
    public_id = made_in_trouble(ada)
    before, notified = health(row(public_id)), notifications()
    change(ada, public_id)
    after = row(public_id)
    assert health(after) == ((0, False, 0, None) if mends else before)
    assert (notifications() > notified) is mends
    # It keeps failing until a delivery arrives.
    assert (after.failing_since, after.stopped_for) == (LONG_AGO, 600)


def test_only_an_edit_with_a_change_updates_version_and_time(ada: Person) -> None:
    public_id = made_in_trouble(ada)
    version = row(public_id).version
    edit()(ada, public_id)
    assert (row(public_id).version, row(public_id).updated_at) == (version, LONG_AGO)
    edit(name="ERP 2")(ada, public_id)
    assert row(public_id).version == version + 1
    assert row(public_id).updated_at > LONG_AGO
    secrets.switch_now(ada.actor, public_id)
    assert row(public_id).version == version + 2


def test_turning_on_resets_the_health_of_a_webhook(ada: Person) -> None:
    public_id = made_in_trouble(ada)
    turn_on_off.turn_off(ada.actor, public_id)
    turn_on_off.turn_on(ada.actor, public_id)
    after = row(public_id)
    assert health(after) == (0, False, 0, None)
    assert (after.failing_since, after.stopped_for) == (None, 0)
    assert (after.state, after.off_reason, after.off_at) == ("active", None, None)


def test_a_webhook_created_off_stores_its_turn_off_time(ada: Person) -> None:
    public_id = crud.create(ada.actor, values(secret_mode=SecretMode.NONE, is_active=False))
    made = row(public_id)
    assert (made.state, made.off_reason, made.owner_id) == ("off", "person", ada.id)
    assert isinstance(made.off_at, datetime)


def test_a_decision_is_refused_if_more_is_held_than_was_shown(ada: Person) -> None:
    hook = make_webhook(state="off", off_reason="person")
    ids = [make_delivery(hook, status="on_hold") for _ in range(3)]
    seen = held_deliveries.count_seen(hook.public_id)
    assert seen.total == 3
    fewer = seen._replace(total=2)  # one was still being sent
    earlier = seen._replace(newest=seen.newest - 1)
    for looked in (fewer, earlier):
        decision = HeldDecision(send=ids[:1], rest=Rest.DISMISS, seen=looked)
        with pytest.raises(Refusal, match="New events arrived"):
            dismissals.decide(ada.actor, hook.public_id, decision)
    assert [stored(delivery)["status"] for delivery in ids] == ["on_hold"] * 3
    decision = HeldDecision(send=ids[:1], rest=Rest.KEEP, seen=seen)
    assert held_deliveries.decide(ada.actor, hook.public_id, decision).sent == 1
    assert [stored(delivery)["status"] for delivery in ids] == ["queued", "on_hold", "on_hold"]


def test_more_ids_than_a_statement_takes_can_be_chosen_at_once(ada: Person) -> None:
    """PostgreSQL takes 65,535 values. Some chosen deliveries can be gone by then."""
    hook = make_webhook(state="off")
    held = [make_delivery(hook, status="on_hold") for _ in range(3)]
    chosen = {*held[:2], *(UUID(int=number) for number in range(65_536))}
    seen = held_deliveries.count_seen(hook.public_id)
    decision = HeldDecision(send=chosen, rest=Rest.KEEP, seen=seen)
    assert held_deliveries.decide(ada.actor, hook.public_id, decision).sent == 2
    assert [stored(delivery)["status"] for delivery in held] == ["queued", "queued", "on_hold"]


def test_turning_on_dismisses_a_long_queue_of_open_deliveries(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_on_off, "HOLD_BATCH", 1)
    hook = make_webhook(state="off", off_reason="person")
    ids = [make_delivery(hook) for _ in range(3)]
    dismissals.turn_on(ada.actor, hook.public_id, "Outage")
    assert [stored(delivery)["status"] for delivery in ids] == ["dismissed"] * 3
    assert {stored(delivery)["dismissed_reason"] for delivery in ids} == {"Outage"}


def test_a_deleted_webhook_is_not_turned_off(app: Flask) -> None:
    hook = make_webhook(deleted_at=utcnow())
    with writing() as current:
        turn_on_off.turn_off_gone(current, hook.id)
    assert row(hook.public_id).state == "active"
    assert session().scalars(select(AuditEntry)).all() == []


def test_the_history_begins_with_the_newest_and_ends_at_its_limit(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    public_id = crud.create(ada.actor, values(secret_mode=SecretMode.NONE))
    for name in ("B", "C", "D"):
        edit(name=name)(ada, public_id)
    monkeypatch.setattr(webhook_queries, "HISTORY", 3)
    entries = webhook_queries.history(public_id)
    assert [entry.changes["name"]["to"] for entry in entries] == ["D", "C", "B"]
