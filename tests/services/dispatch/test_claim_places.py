"""The number and the choice of deliveries that one claim takes per webhook."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select, update

from portal.engine.retry_policy import AttemptKind
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Priority
from portal.models.webhooks import Webhook
from portal.services.core.heartbeats import own_process
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.claim import Claim
from tests.jobs.dispatcher.delivery_clock import (
    ask_for_retry,
    attempts,
    claim,
    deliveries,
    ended,
    leases,
    write_down,
)
from tests.support.database.statements import asked
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import Hook, make_webhook, publish

pytestmark = pytest.mark.both_databases


MOST = 3


LEASE_SECONDS = 2 + 3  # WEBHOOK_TIMEOUT and LEASE_MARGIN of the tests


@pytest.fixture
def hook(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Hook:
    """Make a webhook with three places for requests in flight."""
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), webhook_max_in_flight=MOST))
    return make_webhook()


def kinds(claims: list[Claim]) -> list[AttemptKind]:
    return [claimed.kind for claimed in claims]


def test_all_priorities_share_the_places_and_manual_retries_go_first(hook: Hook) -> None:
    for _ in range(MOST):
        make_delivery(hook)
    for _ in range(MOST - 1):
        make_delivery(hook, status="failed")
    for delivery in deliveries()[MOST:]:
        ask_for_retry(delivery.id)
    assert kinds(claim()) == [AttemptKind.MANUAL] * (MOST - 1) + [AttemptKind.SCHEDULED]
    assert claim() == []


def test_a_claim_describes_each_attempt_and_leases_it_for_its_longest_time(hook: Hook) -> None:
    usual = {"tries": 2, "attempts": 4, "status": "retrying"}
    make_delivery(hook, **usual)
    for priority in (Priority.INTERACTIVE, Priority.BULK):
        make_delivery(hook, **usual)
        ask_for_retry(deliveries()[-1].id, "Ana", priority)
    made = make_delivery(hook, priority=Priority.TEST)
    claims = claim()
    described = [(each.kind, each.number, each.tries, each.actor) for each in claims]
    assert described == [
        ("test", 1, 0, None),
        ("manual", 5, 2, "Ana"),
        ("scheduled", 5, 3, None),
        ("manual", 5, 2, "Ana"),
    ]
    assert claims[0].public_id == str(made)
    assert {each.shown_url for each in claims} == {hook.url}
    assert {each.event for each in claims} == {"asset.created"}
    by_delivery = {each.delivery_id: each for each in leases()}
    for each in claims:
        taken = by_delivery[each.delivery_id]
        assert (taken.kind, taken.number, taken.actor) == (each.kind, each.number, each.actor)
        assert (taken.token, taken.started_at, taken.url) == (each.token, each.started_at, hook.url)
        assert taken.run == own_process()
        assert abs((taken.until - taken.started_at).total_seconds() - LEASE_SECONDS) < 1


def test_a_claim_runs_only_statements_that_the_warm_up_ran(hook: Hook) -> None:
    """The first claim must not wait for a statement to be compiled."""
    queue = make_webhook(in_order=True)
    for webhook in (hook, queue):
        make_delivery(webhook)
        make_delivery(webhook, priority=Priority.TEST)
    with asked(db.engine) as rehearsed, writing() as current:
        dispatch_claim.warm_up(current.connection())
    with asked(db.engine) as found, writing() as current:
        claims = dispatch_claim.claim(current.connection(), 8, may_be_lost=True)
        assert dispatch_claim.claim(current.connection(), 8) == []
    assert (len(claims), set(found) - set(rehearsed)) == (4, set())
    assert leases()


def test_a_claim_without_free_places_touches_no_other_webhook(hook: Hook) -> None:
    for each in (hook, make_webhook()):
        lease(make_delivery(each), -1)
    (taken,) = claim(1)
    cut_off = [(each.delivery_id, each.outcome) for each in attempts()]
    assert cut_off == [(taken.delivery_id, "interrupted")]


def test_a_webhook_with_unrecorded_results_is_left_out_of_the_claim(hook: Hook) -> None:
    other = make_webhook()
    for each in (hook, other):
        make_delivery(each)
    with writing() as current:
        claims = dispatch_claim.claim(current.connection(), 8, without={hook.id})
    assert [each.webhook.id for each in claims] == [other.id]


def test_a_webhook_with_few_places_left_limits_no_other(hook: Hook) -> None:
    other = make_webhook()
    for _ in range(MOST):
        make_delivery(hook)
    claim(MOST - 1)
    for _ in range(MOST):
        make_delivery(other)
    taken = Counter(claimed.webhook.id for claimed in claim())
    assert taken == {hook.id: 1, other.id: MOST}


@pytest.mark.parametrize(
    ("priority", "first"),
    [(Priority.INTERACTIVE, AttemptKind.MANUAL), (Priority.BULK, AttemptKind.SCHEDULED)],
)
def test_an_ordered_queue_has_one_place_for_its_head_and_its_retries(
    app: Flask, priority: Priority, first: AttemptKind
) -> None:
    queue = make_webhook(in_order=True)
    for status in ("failed", "queued", "failed"):
        make_delivery(queue, status=status)
    for number in (0, 2):
        ask_for_retry(deliveries()[number].id, priority=priority)
    assert kinds(claim()) == [first]
    assert claim() == []


def test_a_test_takes_a_dispatcher_place_but_no_turn_of_an_ordered_queue(app: Flask) -> None:
    del app
    queue = make_webhook(in_order=True)
    make_delivery(queue, status="failed")
    ask_for_retry(deliveries()[0].id, priority=Priority.BULK)
    make_delivery(queue, priority=Priority.TEST)
    assert kinds(claim()) == [AttemptKind.TEST, AttemptKind.MANUAL]
    other = make_webhook(in_order=True)
    make_delivery(other)
    make_delivery(other, priority=Priority.TEST)
    make_delivery(other, status="failed")
    ask_for_retry(deliveries()[-1].id, priority=Priority.BULK)
    assert [kinds(claim(1)) for _ in range(3)] == [[AttemptKind.TEST], [AttemptKind.SCHEDULED], []]


def test_a_test_with_an_expired_lease_blocks_no_other_test(hook: Hook) -> None:
    ended_one = make_delivery(hook, priority=Priority.TEST)
    lease(ended_one, -1, kind=AttemptKind.TEST)
    make_delivery(hook, priority=Priority.TEST)
    assert kinds(claim()) == [AttemptKind.TEST]


def test_with_an_open_circuit_only_manual_retries_and_ordered_heads_go(app: Flask) -> None:
    del app
    pause = utcnow() + timedelta(minutes=5)
    for in_order in (False, True):
        paused = make_webhook(in_order=in_order, throttled=True, backoff_until=pause)
        make_delivery(paused)
        for priority in (Priority.BULK, Priority.INTERACTIVE):
            make_delivery(paused, status="failed")
            ask_for_retry(deliveries()[-1].id, priority=priority)
    taken = claim()
    rows = {each.id: each for each in deliveries()}
    found = {(each.webhook.id, rows[each.delivery_id].priority) for each in taken}
    assert found == {(rows[each.delivery_id].webhook_id, Priority.INTERACTIVE) for each in taken}
    write_down(*map(ended, taken))
    first = min(rows.values(), key=lambda each: each.id).webhook_id
    with writing() as current:
        current.execute(update(Webhook).values(throttled=True, backoff_until=pause))
    assert [(each.webhook.id == first, each.kind) for each in claim()] == [
        (False, AttemptKind.SCHEDULED)
    ]


def test_deliveries_of_one_event_share_its_body(hook: Hook) -> None:
    other = make_webhook()
    lease(make_delivery(other))  # gives it the second turn
    for note in ("one", "two"):
        publish(note=note)
    bodies = [
        (each.webhook.id, json.loads(each.body)["data"]["note"], each.occurred_at)
        for each in claim()
    ]
    pairs = sorted((id_, note) for id_, note, _ in bodies)
    assert pairs == [(each.id, note) for each in (hook, other) for note in ("one", "two")]
    assert len({at for *_, at in bodies} - {None}) == 2


@pytest.fixture
def connection(app: Flask) -> Iterator[Connection]:
    """Yield a connection in an open transaction."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one lock for everything")
    db.session.remove()
    with db.engine.connect() as made, made.begin() as transaction:
        yield made
        transaction.rollback()


def test_deliveries_that_a_claim_does_not_take_stay_unlocked(connection: Connection) -> None:
    hook = make_webhook()
    for _ in range(4):
        make_delivery(hook)
    db.session.remove()
    (taken,) = dispatch_claim.claim(connection, 1)
    with db.engine.connect() as other:
        query = select(Delivery.id).with_for_update(skip_locked=True)
        unlocked = set(other.scalars(query))
        # An event that is stored meanwhile refers to the webhook.
        reference = select(Webhook.id).with_for_update(read=True, key_share=True, skip_locked=True)
        assert other.scalars(reference).all() == [hook.id]
    assert len(unlocked) == 3
    assert taken.delivery_id not in unlocked


def test_a_claim_locks_no_more_webhooks_than_fill_its_places(connection: Connection) -> None:
    for _ in range(3):
        hook = make_webhook()
        for priority in (Priority.TEST, Priority.NORMAL):
            make_delivery(hook, priority=priority)
    db.session.remove()
    assert len(dispatch_claim.claim(connection, 4)) == 4
    with db.engine.connect() as other:
        query = select(Webhook.id).with_for_update(key_share=True, skip_locked=True)
        assert len(other.scalars(query).all()) == 1


def test_a_claim_skips_locked_webhooks_and_takes_others(connection: Connection) -> None:
    hooks = [make_webhook() for _ in range(9)]
    for webhook in hooks:
        make_delivery(webhook)
    db.session.remove()
    theirs = update(Webhook).where(Webhook.id.in_([webhook.id for webhook in hooks[:8]]))
    connection.execute(theirs.values(version=2))
    for _ in range(4):  # each claim begins with another webhook
        with db.engine.connect() as other, other.begin() as transaction:
            claims = dispatch_claim.claim(other, 1)
            transaction.rollback()
        assert [webhook.webhook.id for webhook in claims] == [hooks[8].id]


def test_a_claim_settles_no_lease_of_a_locked_webhook(connection: Connection) -> None:
    hook = make_webhook()
    made = make_delivery(hook)
    lease(made, -60)
    db.session.remove()
    connection.execute(update(Webhook).values(name="Theirs"))
    with writing() as current:
        assert dispatch_claim.claim(current.connection(), 8) == []
    assert [row.delivery_id for row in leases()] != [], "its end was written without the lock"


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, ["test", "manual", "scheduled", "scheduled"]),
        ({"state": "off"}, ["test"]),
        ({"state": "draft"}, ["test"]),
        ({"deleted_at": utcnow}, []),
        ({"backoff_until": lambda: utcnow() + timedelta(hours=1)}, ["test", "manual"]),
        ({"throttled": True}, ["test", "manual"]),
        ({"next_at": lambda: utcnow() + timedelta(seconds=1)}, ["test"]),
        ({"format": "slack"}, ["test"]),
        ({"in_order": True}, ["test", "manual"]),
    ],
)
def test_a_change_between_the_poll_and_the_lock_counts(
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
    assert [claimed.kind for claimed in claims] == taken
