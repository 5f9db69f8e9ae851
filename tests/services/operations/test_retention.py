"""What has been kept long enough goes, with all that belongs to it; nothing else does."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs.periodic import prune
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.assets import Activity
from portal.models.deliveries import Attempt, AttemptBody, Delivery, Event, Priority, Rollup
from portal.models.operations import Submission
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.operations import retention
from portal.services.outbox import rollups
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


@pytest.mark.parametrize("status", ["queued", "retrying"])
def test_what_is_still_under_way_stays_however_old(status: str) -> None:
    old_delivery(status=status, finished_at=None)
    retention.prune()
    assert count(Delivery) == 1


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


def test_held_for_too_long_it_is_dismissed_with_a_reason_and_kept_a_while() -> None:
    old_delivery(status="on_hold", finished_at=None)
    retention.prune()
    db.session.rollback()
    delivery = db.session.query(Delivery).one()
    told = delivery.status, delivery.dismissed_by, delivery.dismissed_reason
    assert told == ("dismissed", "Asset register", "Hold expired")


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


def test_one_that_ended_late_is_kept_from_then_on() -> None:
    old_delivery(finished_at=utcnow() - timedelta(days=29))
    retention.prune()
    assert count(Delivery) == 1


def test_what_no_time_was_left_for_is_done_by_the_next_run() -> None:
    old_delivery()
    retention.prune(seconds=0)
    assert count(Delivery) == 1
    retention.prune()
    assert count(Delivery) == 0


def test_forms_that_were_sent_long_ago_go_and_young_ones_stay() -> None:
    with writing() as current:
        for age in (timedelta(hours=25), timedelta(hours=1)):
            then = utcnow() - age
            current.add(Submission(owner="user:1", once=uuid4(), created_at=then))
    retention.prune()
    assert count(Submission) == 1


def test_a_replaced_secret_is_erased_once_it_signs_no_more() -> None:
    hook = make_webhook(old_secret_enc=b"sealed", old_until=utcnow() - timedelta(minutes=1))
    retention.prune()
    db.session.rollback()
    assert db.session.get_one(Webhook, hook.id).old_secret_enc is None


def test_it_works_in_batches_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    hook, then = make_webhook(), utcnow() - OLD
    # Four of a moment, the first by their ids the last in the table; the earlier have higher ones.
    for number in (4, 3, 2, 1, 8, 7, 6, 5):
        moment = then - timedelta(minutes=number // 5)
        old_delivery(webhook=hook, id=number, created_at=moment)
    assert retention.prune()["deliveries removed"] == 8
    assert count(Delivery) == 0


def test_hours_that_no_chart_shows_any_more_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "HOURS_A_STEP", 2)
    hooks = [make_webhook(), make_webhook()]
    now = utcnow().replace(minute=0, second=0, microsecond=0)
    with writing() as current:
        for hours in (0, 24 * 29, 24 * 32, 24 * 33, 24 * 34):
            entries = [
                rollups.StatusChange(hook.id, "delivered", Priority.NORMAL) for hook in hooks
            ]
            rollups.count(current.connection(), entries, now - timedelta(hours=hours))
    assert retention.count()["hours of charts removed"] == 3
    assert retention.prune()["hours of charts removed"] == 3
    assert count(Rollup) == 4


def test_events_that_nobody_asked_for_are_looked_for_among_the_old_ones_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "WINDOW", 2)
    ids = [publish() for _ in range(7)]
    with writing() as current:
        old = update(Event).where(Event.id.in_(ids[:3]))
        current.execute(old.values(occurred_at=utcnow() - OLD))
    make_delivery(status="delivered")
    assert retention.count()["events removed"] == 3
    assert retention.prune()["events removed"] == 3
    assert count(Event) == 5


def test_events_that_nobody_asked_for_go_in_whatever_order_they_lie_in_the_table() -> None:
    ids = [publish() for _ in range(3)]
    for some in (ids, ids[:1]):  # what is written anew comes to lie behind the others
        with writing() as current:
            old = update(Event).where(Event.id.in_(some))
            current.execute(old.values(occurred_at=utcnow() - OLD))
    assert retention.count()["events removed"] == 3
    assert retention.prune()["events removed"] == 3
    assert count(Event) == 0


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
