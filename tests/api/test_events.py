"""Tests of the event feed: its order, its cursors, and gaps after clean-up."""

from datetime import timedelta
from threading import Event as Signal
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, text, update

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Event, FeedEntry
from portal.models.people import Role
from portal.services.core.unit_of_work import session, writing
from portal.services.operations import retention
from portal.services.webhooks import sample_deliveries
from tests.api.client import Program, program
from tests.support.factories import make_asset, make_user, make_webhook, publish

pytestmark = pytest.mark.both_databases


@pytest.fixture
def at(app: Flask) -> Program:
    return program(app)


def read(at: Program, after: str | None = None, limit: int = 50) -> dict[str, Any]:
    path = f"/events?limit={limit}" + (f"&after={after}" if after else "")
    response = at.get(path)
    assert response.status_code == 200, response.get_data(as_text=True)
    return dict(response.get_json())


def test_each_event_comes_once_in_order_with_its_body(at: Program) -> None:
    ids = [make_asset(f"A{number}") for number in range(3)]
    hook = make_webhook()
    sample_deliveries.send_test(make_user().actor, hook.public_id)
    first = read(at, limit=2)
    assert [event["asset_id"] for event in first["items"]] == ids[:2]
    assert set(first["items"][0]) == {
        *("id", "event", "timestamp", "source", "asset_id", "asset", "data")
    }
    rest = read(at, first["next"])
    assert [event["asset_id"] for event in rest["items"]] == ids[2:], "a test is no event"
    empty = read(at, rest["next"])
    assert (empty["items"], empty["next"]) == ([], rest["next"])
    later = make_asset("later")
    assert [event["asset_id"] for event in read(at, empty["next"])["items"]] == [later]


def test_a_program_can_start_with_future_events(at: Program) -> None:
    assert read(at, "now")["items"] == []
    publish(asset_id=1)
    after = read(at, "now")["next"]
    publish(asset_id=2)
    assert [event["asset_id"] for event in read(at, after)["items"]] == [2]


def test_events_that_commit_late_are_not_skipped(app: Flask, at: Program) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time.")
    stored, may_commit = Signal(), Signal()

    def late() -> None:
        with app.app_context(), writing():
            publish(asset_id=1)
            stored.set()
            may_commit.wait(20)

    thread = Thread(target=late)
    thread.start()
    assert stored.wait(20)
    publish(asset_id=2)  # a later id, which commits first
    first = read(at)
    may_commit.set()
    thread.join(20)
    seen = [event["asset_id"] for event in (*first["items"], *read(at, first["next"])["items"])]
    assert seen == [2, 1]


def test_a_rolled_back_event_takes_no_position(at: Program) -> None:
    with writing() as current:
        publish(asset_id=1)
        current.rollback()
    publish(asset_id=2)
    assert [event["asset_id"] for event in read(at)["items"]] == [2]


def test_a_cursor_survives_clean_up_but_not_a_restored_backup(at: Program) -> None:
    publish(asset_id=1)
    after = read(at)["next"]
    publish(asset_id=2)
    old = utcnow() - timedelta(days=31)
    with writing() as current:
        first = current.query(Event).order_by(Event.id).first()
        assert first is not None
        current.execute(update(Event).where(Event.id == first.id).values(occurred_at=old))
        values = {"created_at": old, "finished_at": old, "status": "delivered"}
        current.execute(update(Delivery).where(Delivery.event_id == first.id).values(values))
    cursor_of_old = read(at, limit=1)["next"]
    retention.prune()
    assert [event["asset_id"] for event in read(at, cursor_of_old)["items"]] == [2]
    # This cursor holds a recent time, so only a restore can explain the gap.
    assert at.get(f"/events?after={after}").status_code == 410
    with writing() as current:
        current.execute(delete(FeedEntry))
    assert at.get(f"/events?after={cursor_of_old}").status_code == 410


def test_a_cursor_to_a_reused_position_is_refused(at: Program) -> None:
    publish(asset_id=1)
    after = read(at)["next"]
    with writing() as current:
        (position,) = current.execute(text("SELECT position FROM feed")).one()
        current.execute(delete(Event))
    publish(asset_id=2)
    with writing() as current:
        current.execute(update(FeedEntry).values(position=position))
    response = at.get(f"/events?after={after}")
    assert response.status_code == 410
    session().rollback()


def test_a_foreign_cursor_is_refused(at: Program) -> None:
    for after in ("x", "WzAsMV0", "A" * 1001):
        assert at.get(f"/events?after={after}").status_code in (400, 422), after[:9]


def test_reading_events_needs_permission_for_contents(app: Flask) -> None:
    assert program(app, Role.VIEWER).get("/events").status_code == 403
    assert program(app, Role.SUPPORT, read_only=True).get("/events").status_code == 200
