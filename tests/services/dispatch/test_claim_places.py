"""How many deliveries one claim takes of a webhook, and which."""

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
    """A webhook that is sent three at a time."""
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), webhook_max_in_flight=MOST))
    return make_webhook()


def kinds(claims: list[Claim]) -> list[AttemptKind]:
    return [each.kind for each in claims]


def test_all_priorities_together_have_its_places_and_persons_go_first(hook: Hook) -> None:
    for _ in range(MOST):
        make_delivery(hook)
    for _ in range(MOST - 1):
        make_delivery(hook, status="failed")
    for each in deliveries()[MOST:]:
        ask_for_retry(each.id)
    assert kinds(claim()) == [AttemptKind.MANUAL] * (MOST - 1) + [AttemptKind.SCHEDULED]
    assert claim() == []


def test_a_claim_tells_all_of_each_attempt_and_leases_it_for_as_long_as_it_may_last(
    hook: Hook,
) -> None:
    usual = {"tries": 2, "attempts": 4, "status": "retrying"}
    make_delivery(hook, **usual)
    for priority in (Priority.INTERACTIVE, Priority.BULK):
        make_delivery(hook, **usual)
        ask_for_retry(deliveries()[-1].id, "Ana", priority)
    made = make_delivery(hook, priority=Priority.TEST)
    claims = claim()
    told = [(each.kind, each.number, each.tries, each.actor) for each in claims]
    assert told == [
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


def test_nothing_is_asked_for_a_claim_that_was_not_asked_at_its_rehearsal(hook: Hook) -> None:
    """The first claim has something to send, and waits for no statement to be composed."""
    queue = make_webhook(in_order=True)
    for each in (hook, queue):
        make_delivery(each)
        make_delivery(each, priority=Priority.TEST)
    with asked(db.engine) as rehearsed, writing() as current:
        dispatch_claim.warm_up(current.connection())
    with asked(db.engine) as found, writing() as current:
        claims = dispatch_claim.claim(current.connection(), 8, may_be_lost=True)
        assert dispatch_claim.claim(current.connection(), 8) == []
    assert (len(claims), set(found) - set(rehearsed)) == (4, set())
    assert leases()


def test_once_its_places_are_taken_it_touches_no_other_webhook(hook: Hook) -> None:
    for each in (hook, make_webhook()):
        lease(make_delivery(each), -1)
    (taken,) = claim(1)
    cut_off = [(each.delivery_id, each.outcome) for each in attempts()]
    assert cut_off == [(taken.delivery_id, "interrupted")]


def test_what_is_still_to_be_recorded_keeps_its_webhook_out_of_the_claim(hook: Hook) -> None:
    other = make_webhook()
    for each in (hook, other):
        make_delivery(each)
    with writing() as current:
        claims = dispatch_claim.claim(current.connection(), 8, without={hook.id})
    assert [each.webhook.id for each in claims] == [other.id]


def test_one_that_has_few_places_left_limits_no_other(hook: Hook) -> None:
    other = make_webhook()
    for _ in range(MOST):
        make_delivery(hook)
    claim(MOST - 1)
    for _ in range(MOST):
        make_delivery(other)
    taken = Counter(each.webhook.id for each in claim())
    assert taken == {hook.id: 1, other.id: MOST}


@pytest.mark.parametrize(
    ("priority", "first"),
    [(Priority.INTERACTIVE, AttemptKind.MANUAL), (Priority.BULK, AttemptKind.SCHEDULED)],
)
def test_a_queue_in_order_has_one_place_for_its_head_and_what_is_sent_again(
    app: Flask, priority: Priority, first: AttemptKind
) -> None:
    queue = make_webhook(in_order=True)
    for status in ("failed", "queued", "failed"):
        make_delivery(queue, status=status)
    for number in (0, 2):
        ask_for_retry(deliveries()[number].id, priority=priority)
    assert kinds(claim()) == [first]
    assert claim() == []


def test_a_test_takes_no_turn_of_a_queue_in_order_but_a_place_of_the_dispatcher(app: Flask) -> None:
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


def test_a_test_whose_sender_is_gone_keeps_no_other_from_its_place(hook: Hook) -> None:
    ended_one = make_delivery(hook, priority=Priority.TEST)
    lease(ended_one, -1, kind=AttemptKind.TEST)
    make_delivery(hook, priority=Priority.TEST)
    assert kinds(claim()) == [AttemptKind.TEST]


def test_while_a_circuit_is_open_only_persons_and_the_head_of_a_queue_go(
    app: Flask,
) -> None:
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
    lease(make_delivery(other))  # so its turn is the second
    for note in ("one", "two"):
        publish(note=note)
    told = [
        (each.webhook.id, json.loads(each.body)["data"]["note"], each.occurred_at)
        for each in claim()
    ]
    pairs = sorted((id_, note) for id_, note, _ in told)
    assert pairs == [(each.id, note) for each in (hook, other) for note in ("one", "two")]
    assert len({at for *_, at in told} - {None}) == 2


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
        ({"next_at": lambda: utcnow() + timedelta(seconds=1)}, ["test"]),
        ({"format": "slack"}, ["test"]),
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
