"""Chats get one delivery at a time, at the pace they accept."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from time import monotonic
from typing import Final

import pytest
from flask import Flask
from sqlalchemy import update

from jobs.deliver import deliver_due
from portal.database.engine import database_now
from portal.engine.formats.chats import CHATS
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import retry
from portal.services.dispatch.claim import Claim
from portal.services.outbox.claimable import find_due
from portal.services.outbox.sharding import own_sharding
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.jobs.dispatcher.delivery_clock import (
    SECOND,
    claim,
    ended,
    webhook,
    write_down,
)
from tests.jobs.dispatcher.test_order import dispatcher_alone
from tests.support.database.statements import asked
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.receiver import Answer, Received, Receiver

pytestmark = pytest.mark.both_databases

MANY: Final = 30
MOST_EACH: Final = 1.1  # seconds
PACE: Final = CHATS["slack"].pace
HOUR: Final = timedelta(hours=1)


class OneASecond:
    """A receiver's limit of one request a second, with two in a row after a pause."""

    def __init__(self) -> None:
        self.refused = 0
        self._left, self._at = 2.0, monotonic()

    def __call__(self, received: Received) -> Answer | None:
        self._left = min(2.0, self._left + received.at - self._at)
        self._at = received.at
        if self._left >= 1:
            self._left -= 1
            return None
        self.refused += 1
        return Answer(HTTPStatus.TOO_MANY_REQUESTS, headers=(("Retry-After", "1"),))


@pytest.mark.parametrize("senders", [1, 2])
def test_a_receiver_limited_to_one_a_second_refuses_none_of_thirty(
    app: Flask, senders: int
) -> None:
    if (db.engine.dialect.name == "sqlite") is (senders > 1):
        pytest.skip("one sender on SQLite and two on PostgreSQL: each takes half a minute")
    limit = OneASecond()
    with Receiver(answerer=limit) as slack, Receiver() as other:
        make_webhook(slack.url, format="slack")
        make_webhook(other.url)
        for number in range(MANY):
            publish(asset_id=number + 1)
        threads = [threading.Thread(target=dispatcher_alone, args=[app]) for _ in range(senders)]
        for thread in threads:
            thread.start()
        other.wait_for(MANY, 20)
        assert len(slack.received) < MANY / 2, "the other waits for no chat"
        for thread in threads:
            thread.join(timeout=40)
        assert (limit.refused, len(slack.received)) == (0, MANY)
        took = slack.received[-1].at - slack.received[0].at
    assert took <= MOST_EACH * MANY
    assert took >= (MANY - 1) * PACE.total_seconds() * 0.99


@pytest.fixture
def slack(app: Flask) -> Hook:
    return make_webhook(format="slack")


def go_on() -> None:
    """Move the clock until each chat accepts its next delivery."""
    with writing() as current:
        current.execute(update(Webhook).values(next_at=database_now(current.connection()) - SECOND))


def sent_next() -> Sequence[Claim]:
    """Claim once the pace allows it and record successes. Return the claims."""
    go_on()
    claims = claim()
    write_down(*map(ended, claims))
    return claims


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("chat", ["slack", "discord"])
def test_a_chat_is_claimed_for_after_its_previous_delivery_and_its_pace(
    chat: str,
) -> None:
    hook = make_webhook(format=chat)
    for _ in range(3):
        make_delivery(hook)
    before = utcnow()
    (first,) = claim()
    moved = webhook(hook.id).next_at
    assert moved is not None
    assert abs(moved - before - CHATS[chat].pace) < SECOND
    go_on()
    assert claim() == []
    write_down(ended(first))
    (second,) = claim()
    write_down(ended(second))
    assert claim() == []
    assert len({first.delivery_id, second.delivery_id}) == 2


def test_a_claim_tells_when_the_first_chat_accepts_its_next_delivery(slack: Hook) -> None:
    make_webhook(format="discord")  # with nothing to send
    for _ in range(2):
        make_delivery(slack)
    write_down(*map(ended, claim()))
    assert find_due(session().connection()).next_at == webhook(slack.id).next_at
    assert claim() == []
    assert 0 < own_sharding.paced_at - monotonic() <= PACE.total_seconds()
    go_on()
    assert find_due(session().connection()).next_at is None


def test_a_clock_set_back_delays_a_chat_no_longer_than_its_pace(slack: Hook) -> None:
    waiting = [make_delivery(slack) for _ in range(2)][1]
    write_down(*map(ended, claim()))
    with writing() as current:
        current.execute(update(Webhook).values(next_at=utcnow() + HOUR))
    assert claim() == []
    assert [claimed.public_id for claimed in claim()] == [str(waiting)]


def test_a_manual_retry_waits_for_the_pace_and_goes_next(slack: Hook) -> None:
    made = [make_delivery(slack, due_at=utcnow() - HOUR) for _ in range(4)]
    write_down(*map(ended, claim()))
    retry.retry(make_user().actor, made[-1])
    assert claim() == []
    assert [claimed.kind for claimed in sent_next()] == ["manual"]
    assert [claimed.kind for claimed in sent_next()] == ["scheduled"]


def test_a_test_delivery_goes_at_once_and_others_wait_for_it(slack: Hook) -> None:
    make_delivery(slack)
    with writing() as current:
        soon = database_now(current.connection()) + SECOND / 2
        current.execute(update(Webhook).values(next_at=soon))
    make_delivery(slack, priority=Priority.TEST)
    (test,) = claim()
    assert test.kind == "test"
    assert (webhook(slack.id).next_at or soon) > soon
    make_delivery(slack, priority=Priority.TEST)
    write_down(ended(test))
    go_on()
    assert [claimed.kind for claimed in claim()] == ["test"], "with it goes one that has waited"


def test_bulk_retries_go_after_all_other_deliveries(slack: Hook) -> None:
    make_delivery(slack, priority=Priority.BULK, prior_status="failed", due_at=utcnow() - HOUR)
    make_delivery(slack)
    assert [sent_next()[0].kind for _ in range(2)] == ["scheduled", "manual"]


@pytest.mark.usefixtures("app")
def test_with_ordered_delivery_the_oldest_waits_for_the_pace() -> None:
    hook = make_webhook(format="slack", in_order=True)
    made = [make_delivery(hook) for _ in range(2)]
    write_down(*map(ended, claim()))
    assert claim() == []
    assert [claimed.public_id for claimed in sent_next()] == [str(made[1])]


@pytest.mark.usefixtures("app")
def test_held_deliveries_go_at_the_pace_once_the_webhook_is_on() -> None:
    hook = make_webhook(format="slack", state="off", off_reason="person", off_at=utcnow())
    for _ in range(20):
        make_delivery(hook, status="on_hold")
    assert turn_on_off.turn_on(make_user().actor, hook.public_id, HeldChoice.SEND).sent == 20
    assert len(claim()) == 1


@pytest.mark.usefixtures("app")
def test_a_webhook_that_is_no_longer_a_chat_has_no_pace() -> None:
    hook = make_webhook()
    for _ in range(3):
        make_delivery(hook)
    with writing() as current:
        current.execute(update(Webhook).values(next_at=database_now(current.connection()) - SECOND))
    assert len(claim()) == 3
    assert (webhook(hook.id).next_at or utcnow()) < utcnow()


def test_a_chat_that_still_refuses_is_paused_for_its_retry_after(
    app: Flask, receiver: Receiver
) -> None:
    hook = make_webhook(receiver.url, format="slack")
    receiver.answer(HTTPStatus.TOO_MANY_REQUESTS, headers=[("Retry-After", "60")])
    for number in range(2):
        publish(asset_id=number + 1)
    deliver_due()
    assert len(receiver.received) == 1
    pause = webhook(hook.id).backoff_until
    assert pause is not None
    assert timedelta(seconds=50) < pause - utcnow() <= timedelta(seconds=60)


def test_a_claim_writes_to_a_webhook_only_if_it_is_a_chat(slack: Hook) -> None:
    make_delivery(make_webhook())
    with asked(db.engine, "UPDATE") as usual:
        assert len(claim()) == 1
    make_delivery(slack)
    make_delivery(make_webhook(format="discord"))
    with asked(db.engine, "UPDATE") as for_chats:
        assert len(claim()) == 2
    assert (len(usual), len(for_chats)) == (0, 1)
