"""While all sending is stopped nothing goes out; what was under way ends, and nothing is lost."""

import threading
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from jobs.deliver import deliver_due
from portal.database.engine import database_now
from portal.models.deliveries import Priority
from portal.models.operations import SendingSwitch
from portal.models.webhooks import Webhook
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.operations import sending
from portal.services.outbox import claimable
from portal.services.webhooks.sample_deliveries import send_test
from tests.jobs.dispatcher.delivery_clock import ask_for_retry, deliveries, leases, webhook
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.receiver import Receiver


def let_pass(days: int) -> None:
    """So long ago it was stopped, and the last attempt was made."""
    with writing() as current:
        past = database_now(current.connection()) - timedelta(days=days)
        current.execute(update(SendingSwitch).values(stopped_at=past))
        current.execute(update(Webhook).values(failing_since=past))


def test_it_is_stopped_under_load_and_goes_on_where_it_was(app: Flask, receiver: Receiver) -> None:
    make_webhook(receiver.url, secret="so that each has its id")
    receiver.answer(delay=0.4)
    for number in range(20):
        publish(asset_id=number + 1)

    def dispatcher() -> None:
        with app.app_context():
            deliver_due()

    running = threading.Thread(target=dispatcher)
    running.start()
    receiver.wait_for(8)  # as many as one webhook gets at once
    sending.stop(SYSTEM)
    running.join(timeout=10)
    assert not running.is_alive()
    publish(asset_id=21)
    deliver_due()
    assert len(receiver.received) == 8
    assert sorted({each.status for each in deliveries()}) == ["delivered", "queued"]
    assert leases() == []
    assert not claimable.has_claimable()
    sending.start(SYSTEM)
    receiver.calm()
    deliver_due()
    assert {each.status for each in deliveries()} == {"delivered"}
    ids = [each.header("webhook-id") for each in receiver.received]
    assert len(ids) == len(set(ids)) == 21


@pytest.mark.usefixtures("app")
def test_what_a_person_asked_for_waits_as_well(receiver: Receiver) -> None:
    ana, hook, in_turn = make_user(), make_webhook(receiver.url), _in_turn(receiver)
    publish()
    ask_for_retry(deliveries()[0].id)
    ask_for_retry(deliveries()[1].id, priority=Priority.BULK)
    send_test(ana.actor, hook.public_id)
    send_test(ana.actor, in_turn.public_id)
    sending.stop(ana.actor)
    deliver_due()
    assert receiver.received == []
    sending.start(ana.actor)
    deliver_due()
    assert len(receiver.received) == 4


@pytest.mark.usefixtures("app")
def test_nobody_is_turned_off_for_days_in_which_nothing_was_sent(receiver: Receiver) -> None:
    failing = {"failures_in_row": 9, "failing_since": None}
    hook, well = make_webhook(receiver.url, **failing), make_webhook(receiver.url)
    sending.stop(SYSTEM)
    let_pass(days=6)
    with writing() as current:
        current.get_one(Webhook, well.id).failing_since = None
    sending.start(SYSTEM)
    receiver.answer(status=503)
    publish()
    deliver_due()
    assert webhook(hook.id).state == "active"
    assert webhook(hook.id).failures_in_row == 10


@pytest.mark.usefixtures("app")
def test_since_when_it_fails_stays_true(receiver: Receiver) -> None:
    hook = make_webhook(receiver.url, failures_in_row=9, failing_since=None)
    sending.stop(SYSTEM)
    let_pass(days=6)
    since = webhook(hook.id).failing_since
    sending.start(SYSTEM)
    assert webhook(hook.id).failing_since == since
    assert webhook(hook.id).stopped_for == pytest.approx(6 * 86_400, abs=60)
    sending.stop(SYSTEM)
    sending.start(SYSTEM)
    assert webhook(hook.id).stopped_for == pytest.approx(6 * 86_400, abs=60)
    publish()
    deliver_due()
    assert (webhook(hook.id).failing_since, webhook(hook.id).stopped_for) == (None, 0)


def _in_turn(receiver: Receiver) -> Hook:
    return make_webhook(receiver.url, in_order=True)
