"""An event and its deliveries are stored together or not at all, and then notify once."""

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


def test_every_subscribed_webhook_gets_a_delivery() -> None:
    subscribed = [make_webhook(), make_webhook()]
    make_webhook(events=[EventName.DELETED])
    publish()
    assert [delivery.webhook_id for delivery in deliveries()] == [hook.id for hook in subscribed]
    assert {delivery.status for delivery in deliveries()} == {"queued"}


def test_a_webhook_subscribed_to_all_events_gets_each_one() -> None:
    hook = make_webhook(events=[ALL_EVENTS])
    make_webhook(events=[EventName.DELETED])
    for event in (EventName.CREATED, EventName.LOW_STOCK):
        publish(event)
    assert [delivery.webhook_id for delivery in deliveries()] == [hook.id, hook.id]


def test_an_off_webhook_gets_a_held_delivery_and_a_draft_gets_none() -> None:
    off = make_webhook(state="off")
    make_webhook(state="draft")
    publish()
    assert [(delivery.webhook_id, delivery.status) for delivery in deliveries()] == [
        (off.id, "on_hold")
    ]


def test_the_audience_is_the_same_before_and_after_publishing() -> None:
    make_webhook()
    make_webhook(in_order=True)
    make_webhook(state="off")
    make_webhook(state="draft")
    make_webhook(kind="inbox")
    make_webhook(events=[EventName.BROKEN])
    for event, audience in (
        (EventName.CREATED, Audience(sent=2, held=1, inbox=1)),
        (EventName.BROKEN, Audience(sent=1)),
        (EventName.LOST, Audience()),
    ):
        with writing() as current:
            assert audience_of(current, event) == audience
            assert outbox_publish.publish(current, new_event(event)).audience == audience


def test_a_failed_change_stores_no_event_or_delivery_and_does_not_notify() -> None:
    make_webhook()
    before = notifications()
    with pytest.raises(ZeroDivisionError):
        publish_and_fail()
    assert deliveries() == []
    assert db.session.execute(select(func.count(Event.id))).scalar_one() == 0
    assert notifications() == before


@pytest.mark.parametrize("in_order", [True, False])
def test_an_event_is_not_held_for_a_webhook_that_is_being_turned_on(
    app: Flask, in_order: bool
) -> None:
    """The webhook is off when the event is checked, but on when it is stored."""
    off = make_webhook(state="off", in_order=in_order)
    publish()
    actor, other = make_user().actor, Rival(app, publish)
    with writing():
        turn_on_off.turn_on(actor, off.public_id, HeldChoice.SEND)
        other.begin()
    other.finish()
    assert [delivery.status for delivery in deliveries()] == ["queued", "queued"]


@pytest.mark.parametrize("in_order", [True, False])
def test_turning_on_waits_for_an_event_that_is_being_held(app: Flask, in_order: bool) -> None:
    off = make_webhook(state="off", in_order=in_order)
    turn_on = partial(turn_on_off.turn_on, make_user().actor, off.public_id, HeldChoice.SEND)
    other = Rival(app, turn_on)
    with writing():
        publish()
        other.begin()
    other.finish()
    assert [delivery.status for delivery in deliveries()] == ["queued"]


def test_several_events_and_a_concurrent_one_do_not_deadlock(app: Flask) -> None:
    """Both store for ordered webhooks, and meet at the second one."""
    make_webhook(events=[EventName.CREATED], in_order=True)
    both = make_webhook(events=[EventName.CREATED, EventName.UPDATED], in_order=True)
    other = Rival(app, partial(publish, asset_id=3))
    with writing():
        publish(EventName.UPDATED, asset_id=1)
        other.begin()
        publish(asset_id=2)
    other.finish()
    asset_ids = [delivery.asset_id for delivery in deliveries() if delivery.webhook_id == both.id]
    assert asset_ids == [1, 2, 3]
