"""An event and its deliveries are stored together, or not at all; then the notifier notifies
once."""

from functools import partial

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.engine.events.catalogue import EventName
from portal.extensions import db
from portal.models.deliveries import Delivery, Event
from portal.models.webhooks import ALL_EVENTS
from portal.services.core.unit_of_work import writing
from portal.services.outbox import publish as outbox_publish
from portal.services.outbox.publish import Audience, audience_of
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.support.database.rivals import Rival
from tests.support.factories import make_user, make_webhook, new_event, publish
from tests.support.notifications import notifications

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def deliveries() -> list[Delivery]:
    db.session.rollback()
    return db.session.query(Delivery).order_by(Delivery.id).all()


def publish_and_fail() -> None:
    with writing():
        publish()
        raise ZeroDivisionError


def test_every_webhook_that_asked_for_the_event_gets_a_delivery() -> None:
    wanted = [make_webhook(), make_webhook()]
    make_webhook(events=[EventName.DELETED])
    publish()
    assert [each.webhook_id for each in deliveries()] == [hook.id for hook in wanted]
    assert {each.status for each in deliveries()} == {"queued"}


def test_a_webhook_subscribed_to_all_gets_each_event_that_there_is() -> None:
    hook = make_webhook(events=[ALL_EVENTS])
    make_webhook(events=[EventName.DELETED])
    for event in (EventName.CREATED, EventName.LOW_STOCK):
        publish(event)
    assert [each.webhook_id for each in deliveries()] == [hook.id, hook.id]


def test_an_off_webhook_holds_it_from_the_start_and_a_draft_gets_nothing() -> None:
    off = make_webhook(state="off")
    make_webhook(state="draft")
    publish()
    assert [(each.webhook_id, each.status) for each in deliveries()] == [(off.id, "on_hold")]


def test_it_says_how_many_webhooks_hear_of_it_before_and_after() -> None:
    make_webhook()
    make_webhook(in_order=True)
    make_webhook(state="off")
    make_webhook(state="draft")
    make_webhook(kind="inbox")
    make_webhook(events=[EventName.BROKEN])
    for event, heard in (
        (EventName.CREATED, Audience(sent=2, held=1, inbox=1)),
        (EventName.BROKEN, Audience(sent=1)),
        (EventName.LOST, Audience()),
    ):
        with writing() as current:
            assert audience_of(current, event) == heard
            assert outbox_publish.publish(current, new_event(event)).audience == heard


def test_a_change_that_fails_stores_neither_event_nor_delivery_and_notifies_nobody() -> None:
    make_webhook()
    before = notifications()
    with pytest.raises(ZeroDivisionError):
        publish_and_fail()
    assert deliveries() == []
    assert db.session.execute(select(func.count(Event.id))).scalar_one() == 0
    assert notifications() == before


@pytest.mark.parametrize("in_order", [True, False])
def test_nothing_is_held_for_a_webhook_that_is_being_turned_on(app: Flask, in_order: bool) -> None:
    """The event was seen to be for one that is off; when it is stored, that is no longer so."""
    off = make_webhook(state="off", in_order=in_order)
    publish()
    actor, other = make_user().actor, Rival(app, publish)
    with writing():
        turn_on_off.turn_on(actor, off.public_id, HeldChoice.SEND)
        other.begin()
    other.finish()
    assert [each.status for each in deliveries()] == ["queued", "queued"]


@pytest.mark.parametrize("in_order", [True, False])
def test_a_webhook_is_turned_on_after_what_is_being_held_for_it(app: Flask, in_order: bool) -> None:
    off = make_webhook(state="off", in_order=in_order)
    turn_on = partial(turn_on_off.turn_on, make_user().actor, off.public_id, HeldChoice.SEND)
    other = Rival(app, turn_on)
    with writing():
        publish()
        other.begin()
    other.finish()
    assert [each.status for each in deliveries()] == ["queued"]


def test_several_events_at_once_and_one_beside_them_do_not_wait_in_a_ring(app: Flask) -> None:
    """Both store for webhooks that want order, and meet at the second one."""
    make_webhook(events=[EventName.CREATED], in_order=True)
    both = make_webhook(events=[EventName.CREATED, EventName.UPDATED], in_order=True)
    other = Rival(app, partial(publish, asset_id=3))
    with writing():
        publish(EventName.UPDATED, asset_id=1)
        other.begin()
        publish(asset_id=2)
    other.finish()
    theirs = [each.asset_id for each in deliveries() if each.webhook_id == both.id]
    assert theirs == [1, 2, 3]
