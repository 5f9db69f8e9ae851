"""What a claim locks on PostgreSQL: what it takes and no more; and what it leaves to who has it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select, update

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Priority
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from tests.jobs.dispatcher.delivery_clock import ask_for_retry, deliveries, leases
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases


@pytest.fixture
def connection(app: Flask) -> Iterator[Connection]:
    """Of somebody who is in the middle of something."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one lock for everything")
    db.session.remove()
    with db.engine.connect() as made, made.begin() as transaction:
        yield made
        transaction.rollback()


def test_what_it_does_not_take_is_free_for_others(connection: Connection) -> None:
    hook = make_webhook()
    for _ in range(4):
        make_delivery(hook)
    db.session.remove()
    (taken,) = dispatch_claim.claim(connection, 1)
    with db.engine.connect() as other:
        free = select(Delivery.id).with_for_update(skip_locked=True)
        found = set(other.scalars(free))
        # What an event does that is stored meanwhile: it refers to the webhook.
        refer = select(Webhook.id).with_for_update(read=True, key_share=True, skip_locked=True)
        assert other.scalars(refer).all() == [hook.id]
    assert len(found) == 3
    assert taken.delivery_id not in found


def test_of_webhooks_it_locks_no_more_than_fill_its_places(connection: Connection) -> None:
    for _ in range(3):
        hook = make_webhook()
        for priority in (Priority.TEST, Priority.NORMAL):
            make_delivery(hook, priority=priority)
    db.session.remove()
    assert len(dispatch_claim.claim(connection, 4)) == 4
    with db.engine.connect() as other:
        free = select(Webhook.id).with_for_update(key_share=True, skip_locked=True)
        assert len(other.scalars(free).all()) == 1


def test_for_those_that_somebody_has_locked_it_takes_others(connection: Connection) -> None:
    hooks = [make_webhook() for _ in range(9)]
    for each in hooks:
        make_delivery(each)
    db.session.remove()
    theirs = update(Webhook).where(Webhook.id.in_([each.id for each in hooks[:8]]))
    connection.execute(theirs.values(version=2))
    for _ in range(4):  # each time it begins with another one
        with db.engine.connect() as other, other.begin() as transaction:
            claims = dispatch_claim.claim(other, 1)
            transaction.rollback()
        assert [each.webhook.id for each in claims] == [hooks[8].id]


def test_of_a_webhook_that_somebody_has_locked_it_settles_nothing(connection: Connection) -> None:
    hook = make_webhook()
    made = make_delivery(hook)
    lease(made, -60)
    db.session.remove()
    connection.execute(update(Webhook).values(name="Theirs"))
    with writing() as current:
        assert dispatch_claim.claim(current.connection(), 8) == []
    assert [each.delivery_id for each in leases()] != [], "its end was written without the lock"


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, ["test", "manual", "scheduled", "scheduled"]),
        ({"state": "off"}, ["test"]),
        ({"state": "draft"}, ["test"]),
        ({"deleted_at": utcnow}, []),
        ({"backoff_until": lambda: utcnow() + timedelta(hours=1)}, ["test", "manual"]),
        ({"throttled": True}, ["test", "manual"]),
        ({"in_order": True}, ["test", "manual"]),
    ],
)
def test_what_is_changed_after_its_look_and_before_its_lock_counts(
    connection: Connection, change: dict[str, Any], taken: list[str]
) -> None:
    hook = make_webhook()
    make_delivery(hook, priority=Priority.TEST)
    for priority in (Priority.NORMAL, Priority.NORMAL, Priority.INTERACTIVE):
        make_delivery(hook, priority=priority)
    ask_for_retry(deliveries()[-1].id)
    db.session.remove()
    values = {name: value() if callable(value) else value for name, value in change.items()}
    statements: list[str] = []

    def come_between(*given: Any) -> None:
        statements.append(given[2])
        if len(statements) == 1 and values:
            with db.engine.begin() as other:
                other.execute(update(Webhook).values(values))

    event.listen(connection, "after_cursor_execute", come_between)
    claims = dispatch_claim.claim(connection, 8)
    assert "due_0" in statements[0]
    assert [each.kind for each in claims] == taken
