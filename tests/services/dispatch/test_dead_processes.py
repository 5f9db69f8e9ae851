"""Deliveries of a dead process are due at the next maintenance, before their leases expire."""

import shutil
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.database.engine import database_now
from portal.extensions import db, settings
from portal.models.deliveries import Lease
from portal.models.tasks import Task
from portal.services import tasks
from portal.services import tasks as task_leases
from portal.services.core import heartbeats
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import maintenance
from portal.services.outbox.claimable import has_claimable
from tests.jobs.dispatcher.delivery_clock import (
    attempts,
    claim,
    ended,
    leases,
    only_delivery,
    write_down,
)
from tests.support.factories import make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


@pytest.fixture
def marked(app: Flask) -> Iterator[Callable[[], UUID]]:
    """Yield a function that makes a dead run, with a mark that no process holds."""
    folder = settings().instance_dir / heartbeats.FOLDER
    folder.mkdir()

    def make() -> UUID:
        run = uuid4()
        (folder / str(run)).touch()
        return run

    yield make
    shutil.rmtree(folder)


def held_by(run: UUID | None) -> None:
    """Give all leases to this run."""
    with writing() as current:
        current.execute(update(Lease).values(run=run))


def marks() -> int:
    return len(list((settings().instance_dir / heartbeats.FOLDER).iterdir()))


def test_deliveries_of_a_dead_process_are_interrupted_and_due_again(
    marked: Callable[[], UUID], caplog: pytest.LogCaptureFixture
) -> None:
    make_webhook()
    publish()
    claim()
    held_by(marked())
    assert not has_claimable()
    maintenance.maintain()
    assert [(attempt.outcome, attempt.finished_at) for attempt in attempts()] == [
        ("interrupted", None)
    ]
    assert (only_delivery().status, only_delivery().tries) == ("queued", 1)
    assert has_claimable()
    maintenance.maintain()
    warning = "A process died or stopped responding. Its deliveries are due again."
    assert caplog.messages == [warning]


def test_the_mark_of_a_dead_run_stays_until_a_round_finds_no_lease(
    marked: Callable[[], UUID],
) -> None:
    make_webhook()
    publish()
    claim()
    run = marked()
    held_by(run)
    maintenance.maintain()
    assert marks() == 1
    claim()  # the database was still running this claim when the process died
    held_by(run)
    maintenance.maintain()
    assert has_claimable()
    assert marks() == 1
    maintenance.maintain()
    assert marks() == 0


def test_leases_of_a_live_run_or_another_machine_are_left_alone(marked: Callable[[], UUID]) -> None:
    make_webhook()
    publish()
    claim()
    marked()
    for run in (heartbeats.own_process(), uuid4(), None):
        held_by(run)
        maintenance.maintain()
        (lease,) = leases()
        assert lease.until > database_now(db.session.connection())
        db.session.rollback()
    assert not attempts()


def test_a_response_received_before_the_process_died_still_counts(
    marked: Callable[[], UUID],
) -> None:
    make_webhook()
    publish()
    (mine,) = claim()
    held_by(marked())
    with writing() as current:
        run = current.execute(select(Lease.run)).scalar_one()
        assert run
        assert maintenance.reclaim(current.connection(), [run]) == {run}
    write_down(ended(mine))
    assert [attempt.outcome for attempt in attempts()] == ["delivered"]
    assert (only_delivery().status, leases()) == ("delivered", [])


def test_a_restarted_sender_interrupts_only_attempts_of_its_own_run() -> None:
    make_webhook()
    publish(asset_id=1)
    publish(asset_id=2)
    claim()
    mine, theirs = (row.delivery_id for row in leases())
    with writing() as current:
        current.execute(update(Lease).where(Lease.delivery_id == theirs).values(run=uuid4()))
        assert maintenance.interrupt(current.connection(), heartbeats.own_process())
    maintenance.maintain()
    assert [row.delivery_id for row in attempts()] == [mine]
    assert [row.delivery_id for row in leases()] == [theirs]


def test_only_the_tasks_of_a_dead_process_continue_elsewhere(marked: Callable[[], UUID]) -> None:
    with writing() as current:
        made = [tasks.start(current, SYSTEM, "counting", total=1).id for _ in range(2)]
    assert [turn and turn.task_id for turn in (task_leases.claim(), task_leases.claim())] == made
    assert not task_leases.has_due()
    assert db.session.scalars(select(Task.run)).all() == [heartbeats.own_process()] * 2
    with writing() as current:
        current.execute(update(Task).where(Task.id == made[0]).values(run=marked()))
    marked_since = []
    for _ in range(2):
        maintenance.maintain()
        marked_since.append(marks())
    assert marked_since == [1, 0]
    turn = task_leases.claim()
    assert turn
    assert turn.task_id == made[0]
    assert not task_leases.has_due()
