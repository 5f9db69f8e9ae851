"""A background worker without notifications looks for work by itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from sqlalchemy import event, select

from jobs import periodic
from jobs.periodic import FallbackScheduler
from jobs.stop_flag import stop
from jobs.tasks import at_work
from portal.extensions import db
from portal.models.tasks import Task, TaskState
from portal.queue import notifier
from portal.services.core import heartbeats
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.mail import sample_mail
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user
from tests.support.mail_server import MailServer, set_up
from tests.support.processes import until


@pytest.fixture(autouse=True)
def no_redis(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable notifications."""
    monkeypatch.setitem(
        app.extensions, "notifier", notifier.Notifier("unix:///nowhere/valkey.sock")
    )


@contextmanager
def running(app: Flask) -> Iterator[FallbackScheduler]:
    """Run a background worker's thread during the block."""
    beside = FallbackScheduler(app)
    beside.start()
    try:
        yield beside
    finally:
        stop.set()
        beside.join(20)
        stop.clear()
    assert at_work.acquire(timeout=10)  # it has released the lock
    at_work.release()


def begin_task() -> None:
    failed = make_delivery(status="failed")
    bulk_retry.start(make_user().actor, Selection(ticked=(failed,)))


def states() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(select(Task.state)))


def test_a_task_starts_within_seconds_even_after_an_internal_error(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(periodic, "LOOK_EVERY", 0.1)
    begin_task()
    has_turn: list[bool] = []

    def fail(*_of_a_statement: object) -> None:
        if not has_turn:
            has_turn.append(threads[0].progress.last is not None)
            raise RuntimeError("the lamp is broken")

    threads: list[FallbackScheduler] = []

    event.listen(db.engine, "before_cursor_execute", fail)
    try:
        with running(app) as beside:
            threads.append(beside)
            assert until(lambda: "the lamp is broken" in caplog.text, 10)
            assert until(lambda: states() != {TaskState.WAITING}, 10)
    finally:
        event.remove(db.engine, "before_cursor_execute", fail)
    failed = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert failed == ["Work that started without the schedule failed. It will run again."]
    assert has_turn == [True]


def test_tasks_that_never_ran_are_started_except_maintenance(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, less in (
        ("LOOK_EVERY", 0.05),
        ("PERIODIC_EVERY", 0),
        ("LATE", 0),
        ("LATE_SECONDS", 0),
    ):
        monkeypatch.setattr(periodic, name, less)
    caplog.set_level("INFO", periodic.log.name)
    tasks = ("alerts", "backup", "expire-reservations", "notices", "prune", "turn-on")
    said = {f"Started {name} without the schedule." for name in tasks}
    with running(app):
        assert until(lambda: said <= set(caplog.messages), 20)
    db.session.rollback()
    assert sorted(process.kind for process in heartbeats.processes()) == sorted(tasks)


def test_without_redis_an_email_is_sent_within_seconds(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periodic, "LOOK_EVERY", 0.1)
    with MailServer() as server:
        set_up(app, monkeypatch, smtp_url=server.url)
        sample_mail.start(make_user().actor)
        with running(app):
            assert until(lambda: len(server.messages) == 1, 10)


def test_the_fallback_waits_while_the_main_thread_works(app: Flask) -> None:
    begin_task()
    with running(app):
        with at_work:
            time.sleep(3.5)
            assert states() == {TaskState.WAITING}
        assert until(lambda: states() != {TaskState.WAITING}, 10)
