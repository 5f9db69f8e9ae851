"""What has been kept long enough goes, with all that belongs to it; nothing else does."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs.periodic import prune
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.assets import Activity
from portal.models.deliveries import Attempt, AttemptBody, Delivery, Event
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.operations import retention
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_asset, make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]

OLD = timedelta(days=31)


def old_delivery(**columns: Any) -> UUID:
    """A delivery from more than 30 days ago, and its event."""
    then = utcnow() - OLD
    values = {"status": "delivered", "created_at": then, "finished_at": then, **columns}
    return make_delivery(occurred_at=then, **values)


def count(kind: type[Any]) -> int:
    db.session.rollback()
    return db.session.execute(select(func.count()).select_from(kind)).scalar_one()


def test_an_old_delivery_goes_with_its_attempts_bodies_and_event() -> None:
    old = old_delivery()
    make_attempt(old, request_headers=[], response_headers=[])
    young = make_delivery(status="delivered")
    retention.prune()
    assert [each.public_id for each in db.session.query(Delivery)] == [young]
    assert (count(Attempt), count(AttemptBody), count(Event)) == (0, 0, 1)


def test_an_event_stays_until_the_last_of_its_deliveries_goes() -> None:
    make_webhook()
    other = make_webhook()
    publish()
    then = utcnow() - OLD
    with writing() as current:
        old = {"created_at": then, "finished_at": then, "status": "delivered"}
        mine = Delivery.webhook_id != other.id
        current.execute(update(Delivery).where(mine).values(**old))
    retention.prune()
    assert (count(Delivery), count(Event)) == (1, 1)


def test_what_was_being_tried_until_yesterday_has_not_been_held_for_too_long() -> None:
    hook = make_webhook(state="off", off_at=utcnow() - timedelta(days=1))
    old_delivery(webhook=hook, status="on_hold", finished_at=None)
    assert retention.count()[retention.DISMISSED] == 0
    retention.prune()
    assert db.session.query(Delivery.status).scalar() == "on_hold"


def test_events_that_nobody_asked_for_go_as_well() -> None:
    publish()
    with writing() as current:
        current.execute(update(Event).values(occurred_at=utcnow() - OLD))
    publish()
    retention.prune()
    assert count(Event) == 1


def test_a_deleted_webhook_goes_with_its_last_delivery() -> None:
    gone = make_webhook(deleted_at=utcnow() - OLD)
    kept = make_webhook(deleted_at=utcnow() - OLD)
    make_webhook()
    make_delivery(kept, status="dismissed")
    retention.prune()
    assert count(Webhook) == 2
    assert db.session.get(Webhook, gone.id) is None


def test_the_timeline_keeps_its_rows_without_the_event() -> None:
    make_asset()
    with writing() as current:
        current.execute(update(Event).values(occurred_at=utcnow() - OLD))
    retention.prune()
    db.session.rollback()
    (line,) = db.session.query(Activity)
    assert line.event_id is None


def test_the_command_says_how_much_went(app: Flask) -> None:
    old_delivery()
    answer = app.test_cli_runner().invoke(args=["prune"])
    assert answer.exit_code == 0, answer.output
    assert "1  deliveries removed" in answer.output
    assert count(Delivery) == 0


def test_the_hourly_job_does_the_same() -> None:
    old_delivery()
    prune()
    assert count(Delivery) == 0
