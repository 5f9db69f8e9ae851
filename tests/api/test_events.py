"""The events one after another: none is passed over, and none is told of a past that is gone."""

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
    answer = at.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return dict(answer.get_json())


def test_events_come_in_order_with_their_bodies_and_each_once(at: Program) -> None:
    ids = [make_asset(f"A{number}") for number in range(3)]
    hook = make_webhook()
    sample_deliveries.send_test(make_user().actor, hook.public_id)
    first = read(at, limit=2)
    assert [each["asset_id"] for each in first["items"]] == ids[:2]
    assert set(first["items"][0]) == {
        *("id", "event", "timestamp", "source", "asset_id", "asset", "data")
    }
    rest = read(at, first["next"])
    assert [each["asset_id"] for each in rest["items"]] == ids[2:], "a test is no event"
    empty = read(at, rest["next"])
    assert (empty["items"], empty["next"]) == ([], rest["next"])
    later = make_asset("later")
    assert [each["asset_id"] for each in read(at, empty["next"])["items"]] == [later]


def test_a_program_can_begin_with_what_comes(at: Program) -> None:
    assert read(at, "now")["items"] == []
    publish(asset_id=1)
    after = read(at, "now")["next"]
    publish(asset_id=2)
    assert [each["asset_id"] for each in read(at, after)["items"]] == [2]


def test_what_commits_late_is_not_passed_over(app: Flask, at: Program) -> None:
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
    seen = [each["asset_id"] for each in (*first["items"], *read(at, first["next"])["items"])]
    assert seen == [2, 1]


def test_what_was_rolled_back_has_no_place(at: Program) -> None:
    with writing() as current:
        publish(asset_id=1)
        current.rollback()
    publish(asset_id=2)
    assert [each["asset_id"] for each in read(at)["items"]] == [2]


def test_clean_up_explains_a_gap_and_an_earlier_copy_does_not(at: Program) -> None:
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
    assert [each["asset_id"] for each in read(at, cursor_of_old)["items"]] == [2]
    # As if the database were one from before this event: its place is free, or another's.
    assert at.get(f"/events?after={after}").status_code == 410
    with writing() as current:
        current.execute(delete(FeedEntry))
    assert at.get(f"/events?after={cursor_of_old}").status_code == 410


def test_a_place_that_another_event_has_now_is_refused(at: Program) -> None:
    publish(asset_id=1)
    after = read(at)["next"]
    with writing() as current:
        (position,) = current.execute(text("SELECT position FROM feed")).one()
        current.execute(delete(Event))
    publish(asset_id=2)
    with writing() as current:
        current.execute(update(FeedEntry).values(position=position))
    answer = at.get(f"/events?after={after}")
    assert answer.status_code == 410
    session().rollback()


@pytest.mark.parametrize("after", ["x", "WzAsMV0", "A" * 1001])
def test_a_cursor_that_is_none_of_ours_is_refused(at: Program, after: str) -> None:
    assert at.get(f"/events?after={after}").status_code in (400, 422)


def test_bodies_are_contents(app: Flask) -> None:
    assert program(app, Role.VIEWER).get("/events").status_code == 403
    assert program(app, Role.SUPPORT, read_only=True).get("/events").status_code == 200
