"""Rows past their retention are removed with all that belongs to them, and no others are."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from jobs.periodic import prune
from portal.database.engine import impatient_engine
from portal.engine.events.catalogue import EventName
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.models.assets import Activity
from portal.models.deliveries import Attempt, AttemptBody, Delivery, Event, Priority, Rollup
from portal.models.people import Link, SignInThrottle
from portal.models.tasks import Task
from portal.models.webhooks import InboxMessage, Webhook
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.operations import retention
from portal.services.outbox import rollups
from tests.support.database.rivals import Rival
from tests.support.deliveries import lease, make_attempt, make_delivery, stored
from tests.support.factories import make_asset, make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


OLD = timedelta(days=31)


def old_delivery(**columns: Any) -> UUID:
    """Make a delivery from more than 30 days ago, with its event."""
    then = utcnow() - OLD
    values = {"status": "delivered", "created_at": then, "finished_at": then, **columns}
    return make_delivery(occurred_at=then, **values)


def count(kind: type[Any]) -> int:
    db.session.rollback()
    return db.session.execute(select(func.count()).select_from(kind)).scalar_one()


def test_an_old_delivery_is_removed_with_attempts_bodies_and_event() -> None:
    old = old_delivery()
    make_attempt(old, request_headers=[], response_headers=[])
    young = make_delivery(status="delivered")
    retention.prune()
    assert [delivery.public_id for delivery in db.session.query(Delivery)] == [young]
    assert (count(Attempt), count(AttemptBody), count(Event)) == (0, 0, 1)


def test_an_event_stays_until_the_last_of_its_deliveries_is_removed() -> None:
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


def test_events_without_deliveries_are_removed_too() -> None:
    publish()
    with writing() as current:
        current.execute(update(Event).values(occurred_at=utcnow() - OLD))
    publish()
    retention.prune()
    assert count(Event) == 1


def test_a_deleted_webhook_is_removed_with_its_last_delivery() -> None:
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


def test_the_command_reports_how_much_was_removed(app: Flask) -> None:
    old_delivery()
    answer = app.test_cli_runner().invoke(args=["prune"])
    assert answer.exit_code == 0, answer.output
    assert "1  deliveries removed" in answer.output
    assert count(Delivery) == 0


def test_the_hourly_job_prunes_as_well() -> None:
    old_delivery()
    prune()
    assert count(Delivery) == 0


DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


MONTH = 30 * DAY  # the default of RETENTION_DAYS


def add(row: Any) -> None:
    with writing() as current:
        current.add(row)


def ended(status: str) -> Callable[[datetime], object]:
    """Return a factory for deliveries that started a day before they ended."""
    return lambda then: make_delivery(
        status=status, created_at=then - DAY, finished_at=then, occurred_at=then
    )


def unheard(then: datetime) -> None:
    row_id = publish(EventName.UPDATED)
    with writing() as current:
        current.execute(update(Event).where(Event.id == row_id).values(occurred_at=then))


def link(then: datetime) -> None:
    add(Link(kind="invite", token_hash=uuid4().hex, role="support", expires_at=then))


def throttle(then: datetime) -> None:
    add(SignInThrottle(key=uuid4().hex, last_failed_at=then))


def task(then: datetime) -> None:
    who = {"actor_kind": "system", "actor_name": "Asset register", "origin": "cron"}
    add(Task(kind="alerts", state="done", due_at=then, finished_at=then, **who))


def forgotten_file(then: datetime) -> None:
    who = {"actor_kind": "user", "actor_name": "Ana", "origin": "web"}
    add(Task(kind="import_check", state="paused", due_at=then, created_at=then, **who))


def message(then: datetime) -> None:
    hook = make_webhook()
    add(
        InboxMessage(
            webhook_id=hook.id,
            received_at=then,
            headers=[],
            body=b"{}",
            legacy="good",
            standard="good",
        )
    )


def deleted(then: datetime) -> None:
    make_webhook(deleted_at=then)


def draft(then: datetime) -> None:
    make_webhook(state="draft", updated_at=then)


@dataclass(frozen=True, slots=True)
class Kind:
    """A factory for a row at a given time, its model, and how long it is kept."""

    make: Callable[[datetime], object]
    row: type[Any]
    kept: timedelta


KINDS = {
    "delivered": Kind(ended("delivered"), Delivery, MONTH),
    "failed": Kind(ended("failed"), Delivery, MONTH),
    "dismissed": Kind(ended("dismissed"), Delivery, MONTH),
    "event that nobody asked for": Kind(unheard, Event, MONTH),
    "link": Kind(link, Link, MONTH),
    "task": Kind(task, Task, MONTH),
    "file that nobody said how to read": Kind(forgotten_file, Task, MONTH),
    "sign-in throttle": Kind(throttle, SignInThrottle, DAY),
    "inbox message": Kind(message, InboxMessage, DAY),
    "deleted webhook": Kind(deleted, Webhook, DAY),
    "draft": Kind(draft, Webhook, DAY),
}


def test_each_kind_is_kept_to_its_last_minute_and_then_removed() -> None:
    for name in KINDS:
        kind, now = KINDS[name], utcnow()
        kind.make(now - kind.kept + MINUTE)
        before = count(kind.row)
        retention.prune()
        assert count(kind.row) == before, name
        kind.make(now - kind.kept - MINUTE)
        retention.prune()
        assert count(kind.row) == before, name


def test_a_waiting_task_is_kept_regardless_of_its_age() -> None:
    then = utcnow() - 2 * MONTH
    who = {"actor_kind": "user", "actor_name": "Ana", "origin": "web"}
    add(Task(kind="import", state="waiting", due_at=then, created_at=then, **who))
    retention.prune()
    assert count(Task) == 1


@pytest.fixture
def everything(app: Flask) -> None:
    """Store one row of each kind whose time is over."""
    then = utcnow() - MONTH - MINUTE
    for kind in KINDS.values():
        kind.make(then)
    make_delivery(status="on_hold", created_at=then)
    make_webhook(old_secret_enc=b"sealed", old_until=utcnow() - MINUTE)
    with writing() as current:
        entry = rollups.StatusChange(make_webhook().id, "delivered", Priority.NORMAL)
        rollups.count(current.connection(), [entry], then)


@pytest.mark.usefixtures("everything")
def test_count_predicts_the_result_of_prune() -> None:
    expected = {
        "deliveries on hold dismissed": 1,
        "deliveries removed": 3,
        "events removed": 1,
        "hours of charts removed": 1,
        "drafts removed": 1,
        "replaced secrets erased": 1,
        "deleted webhooks removed": 1,
    }
    assert retention.count() == expected
    assert retention.prune() == expected
    assert set(retention.count().values()) == {0}


@pytest.mark.usefixtures("everything")
def test_no_long_walk_starts_after_the_time_limit() -> None:
    done = retention.prune(seconds=0)
    walks = ["deliveries on hold dismissed", "deliveries removed", "events removed"]
    assert [done[name] for name in [*walks, "hours of charts removed"]] == [0, 0, 0, 0]
    assert count(Delivery) == 4


def test_a_held_delivery_is_dismissed_a_month_after_its_webhook_went_off() -> None:
    for off_for, status in ((MONTH - MINUTE, "on_hold"), (MONTH, "dismissed")):
        hook = make_webhook(state="off", off_at=utcnow() - off_for)
        make_webhook(state="off", off_at=utcnow())
        old = make_delivery(hook, status="on_hold", created_at=utcnow() - 2 * MONTH)
        young = make_delivery(hook, status="on_hold", created_at=utcnow() - MONTH + MINUTE)
        began = database_time(session())
        retention.prune()
        row = stored(old)
        assert (row["status"], stored(young)["status"]) == (status, "on_hold"), off_for
        if status == "dismissed":
            assert row["finished_at"] >= began


def test_an_open_delivery_is_neither_dismissed_nor_removed() -> None:
    for status in ("queued", "retrying"):
        delivery = make_delivery(status=status, created_at=utcnow() - 2 * MONTH)
        retention.prune()
        row = stored(delivery)
        assert (row["status"], row["dismissed_by"]) == (status, None), status


def test_a_leased_delivery_stays_until_its_lease_is_over() -> None:
    then = utcnow() - MONTH - MINUTE
    sent = make_delivery(status="failed", created_at=then, finished_at=then)
    held = make_delivery(status="on_hold", created_at=then)
    for delivery in (sent, held):
        lease(delivery)
    assert set(retention.count().values()) == {0}
    retention.prune()
    assert (stored(sent)["status"], stored(held)["status"]) == ("failed", "on_hold")
    for delivery in (sent, held):
        lease(delivery, -60)
    retention.prune()
    assert stored(held)["status"] == "dismissed"
    assert count(Delivery) == 1


@pytest.fixture
def short_log(app: Flask) -> Iterator[None]:
    """Set RETENTION_DAYS to 1."""
    app.extensions["settings"] = replace(usual := settings(), retention_days=1)
    yield
    app.extensions["settings"] = usual


@pytest.mark.usefixtures("short_log")
def test_charts_keep_a_week_even_if_the_log_is_kept_for_less() -> None:
    now = utcnow().replace(minute=0, second=0, microsecond=0)
    hook = make_webhook()
    with writing() as current:
        for days in (0, 2, 7, 8.5):
            entry = rollups.StatusChange(hook.id, "delivered", Priority.NORMAL)
            rollups.count(current.connection(), [entry], now - days * DAY)
    make_delivery(hook, status="failed", created_at=now - 2 * DAY, finished_at=now - 2 * DAY)
    retention.prune()
    assert (count(Rollup), count(Delivery)) == (3, 0)


def test_a_locked_delivery_is_left_to_the_next_run(app: Flask) -> None:
    then = utcnow() - MONTH - MINUTE
    mine, _ = (make_delivery(status="failed", created_at=then, finished_at=then) for _ in "12")
    if db.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time.")
    engine = impatient_engine(app.extensions["settings"].database_url)
    with Session(engine) as theirs:
        row = select(Delivery.id).where(Delivery.public_id == mine).with_for_update()
        theirs.execute(row).one()
        assert retention.prune()[retention.DELIVERIES] == 1
        assert count(Delivery) == 1
    engine.dispose()
    assert retention.prune()[retention.DELIVERIES] == 1


@pytest.mark.usefixtures("everything")
def test_a_run_skips_locked_rows_without_waiting(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time.")
    rows = {kind.row for kind in KINDS.values()}
    before = {row: count(row) for row in rows}
    engine = impatient_engine(app.extensions["settings"].database_url)
    with Session(engine) as theirs:
        for row in rows - {Webhook}:
            theirs.execute(select(row).with_for_update()).all()
        hooks = select(Webhook.id).where(Webhook.old_until.is_(None))
        theirs.execute(hooks.with_for_update()).all()
        Rival(app, retention.prune).pass_by()
        assert {row: count(row) for row in rows} == before
    engine.dispose()
    retention.prune()
    assert all(count(row) < before[row] for row in rows)


def test_the_run_that_removes_the_last_delivery_removes_the_event(
    app: Flask,
) -> None:
    """Let another run remove the other delivery of the event without a commit yet."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time.")
    hooks = [make_webhook() for _ in range(2)]
    row_id, then = publish(), utcnow() - MONTH - MINUTE
    with writing() as current:
        mine = update(Delivery).where(Delivery.webhook_id == hooks[0].id)
        current.execute(mine.values(status="failed", created_at=then, finished_at=then))

    def prune() -> dict[str, int]:
        with app.app_context():
            return retention.prune()

    engine = impatient_engine(app.extensions["settings"].database_url)
    with Session(engine) as theirs, ThreadPoolExecutor(1) as pool:
        theirs.execute(select(Event.id).where(Event.id == row_id).with_for_update()).one()
        theirs.execute(delete(Delivery).where(Delivery.webhook_id == hooks[1].id))
        done = pool.submit(prune)
        assert not wait([done], 1).done
        theirs.commit()
        assert done.result(30)[retention.EVENTS] == 0
    engine.dispose()
    assert (count(Delivery), count(Event)) == (0, 0)
