"""The nightly backup starts once a night with any clock and any number of workers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from jobs.periodic import back_up
from portal.extensions import db, settings
from portal.lib.clock import frozen
from portal.models.tasks import Task, TaskState
from portal.services import audit
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.operations import backups
from portal.services.operations.backups import Copy
from tests.support.database.rivals import at_once

pytestmark = pytest.mark.both_databases

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def register(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up a portal on March 1, 13:00 in Vienna, with PostgreSQL's programs installed."""
    monkeypatch.setattr(backups, "why_not", lambda: "")
    with frozen(BEGUN), writing() as current:
        audit.record(current, SYSTEM, "person.joined", target=("person", 1, "Ada"))


def begun(at: datetime) -> int:
    """Count the backups that start when the clock shows `at` and the worker looks twice."""
    before = len(all_of())
    with frozen(at):
        for _ in range(2):
            backups.start_nightly(at)
    return len(all_of()) - before


def all_of() -> list[Task]:
    db.session.rollback()
    return list(session().scalars(select(Task).where(Task.kind == "backup")))


def end(state: TaskState) -> None:
    with writing() as current:
        current.execute(update(Task).values(state=state, finished_at=Task.created_at))


def made(at: datetime) -> None:
    """Record a backup that the command or a task made at this time."""
    rows = dict.fromkeys(backups.TOLD, 1)
    with frozen(at), writing() as current:
        backups.record(current, SYSTEM, Copy(Path("/backup/x"), 10, rows))
        current.execute(update(Task).values(state=TaskState.DONE, finished_at=Task.created_at))


def test_a_backup_starts_once_a_night_after_three_in_the_local_time_zone() -> None:
    assert begun(BEGUN + timedelta(hours=1)) == 0  # nothing to lose before the first night
    for day in (2, 3):
        assert begun(datetime(2026, 3, day, 1, 59, tzinfo=UTC)) == 0
        assert begun(datetime(2026, 3, day, 2, 0, tzinfo=UTC)) == 1
        made(datetime(2026, 3, day, 2, 1, tzinfo=UTC))
        assert begun(datetime(2026, 3, day, 14, tzinfo=UTC)) == 0


def test_a_night_that_was_missed_is_made_up_for() -> None:
    made(datetime(2026, 3, 2, 2, tzinfo=UTC))
    assert begun(datetime(2026, 3, 9, 8, tzinfo=UTC)) == 1


def test_a_failed_backup_is_tried_again_the_next_night() -> None:
    assert begun(datetime(2026, 3, 2, 2, tzinfo=UTC)) == 1
    end(TaskState.FAILED)
    assert begun(datetime(2026, 3, 2, 20, tzinfo=UTC)) == 0
    assert begun(datetime(2026, 3, 3, 2, tzinfo=UTC)) == 1


def test_a_backup_made_in_the_evening_counts_for_the_night() -> None:
    made(datetime(2026, 3, 1, 21, 30, tzinfo=UTC))
    assert begun(datetime(2026, 3, 2, 3, tzinfo=UTC)) == 0
    made(datetime(2026, 3, 2, 19, tzinfo=UTC))
    assert begun(datetime(2026, 3, 3, 3, tzinfo=UTC)) == 1


def test_a_clock_that_was_a_year_ahead_blocks_no_later_backup() -> None:
    assert begun(datetime(2027, 3, 2, 3, tzinfo=UTC)) == 1
    made(datetime(2027, 3, 2, 3, 1, tzinfo=UTC))
    assert begun(datetime(2026, 3, 5, 3, tzinfo=UTC)) == 1
    made(datetime(2026, 3, 5, 3, 1, tzinfo=UTC))
    assert begun(datetime(2026, 3, 5, 12, tzinfo=UTC)) == 0


def test_a_skipped_or_repeated_hour_has_one_backup() -> None:
    for day in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        count = 0
        for minutes in range(0, 24 * 60, 30):
            at = day + timedelta(minutes=minutes)
            if begun(at):
                count += 1
                made(at)
        assert count == 1, day


def test_no_backup_starts_if_none_is_to_be_kept(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), backup_keep=0))
    assert begun(datetime(2026, 3, 2, 3, tzinfo=UTC)) == 0


def test_two_workers_start_one_backup(app: Flask) -> None:
    at = datetime(2026, 3, 2, 3, tzinfo=UTC)
    at_once(app, [lambda: backups.start_nightly(at)] * 2)
    assert len(all_of()) == 1


def test_the_periodic_job_starts_a_backup(app: Flask) -> None:
    with frozen(datetime(2026, 3, 2, 3, tzinfo=UTC)):
        back_up()
    assert [task.actor_name for task in all_of()] == [SYSTEM.name]
