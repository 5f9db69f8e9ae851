"""What a process held that died: due again at the next round of maintenance, not when its leases
run out."""

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
    """Makes a run that is over: its mark is there, and nobody holds it."""
    folder = settings().instance_dir / heartbeats.FOLDER
    folder.mkdir()

    def make() -> UUID:
        run = uuid4()
        (folder / str(run)).touch()
        return run

    yield make
    shutil.rmtree(folder)


def held_by(run: UUID | None) -> None:
    """All that is leased was taken by this run."""
    with writing() as current:
        current.execute(update(Lease).values(run=run))


def marks() -> int:
    return len(list((settings().instance_dir / heartbeats.FOLDER).iterdir()))


def test_what_it_was_sending_is_interrupted_and_due_again(
    marked: Callable[[], UUID], caplog: pytest.LogCaptureFixture
) -> None:
    make_webhook()
    publish()
    claim()
    held_by(marked())
    assert not has_claimable()
    maintenance.maintain()
    assert [(each.outcome, each.finished_at) for each in attempts()] == [("interrupted", None)]
    assert (only_delivery().status, only_delivery().tries) == ("queued", 1)
    assert has_claimable()
    maintenance.maintain()
    told = "A process died or fell silent at its work. Its deliveries are due again."
    assert caplog.messages == [told]


def test_its_mark_stays_until_nothing_came_after_it(marked: Callable[[], UUID]) -> None:
    make_webhook()
    publish()
    claim()
    run = marked()
    held_by(run)
    maintenance.maintain()
    assert marks() == 1
    claim()  # what the database was still doing when the process died
    held_by(run)
    maintenance.maintain()
    assert has_claimable()
    assert marks() == 1
    maintenance.maintain()
    assert marks() == 0


def test_what_a_living_run_or_another_machine_holds_is_left_to_it(
    marked: Callable[[], UUID],
) -> None:
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


def test_an_answer_that_it_had_before_it_died_still_counts(marked: Callable[[], UUID]) -> None:
    make_webhook()
    publish()
    (mine,) = claim()
    held_by(marked())
    with writing() as current:
        found = current.execute(select(Lease.run)).scalar_one()
        assert found
        assert maintenance.reclaim(current.connection(), [found]) == {found}
    write_down(ended(mine))
    assert [each.outcome for each in attempts()] == ["delivered"]
    assert (only_delivery().status, leases()) == ("delivered", [])


def test_a_sender_that_begins_anew_ends_what_its_own_run_sent_and_nobody_elses() -> None:
    make_webhook()
    publish(asset_id=1)
    publish(asset_id=2)
    claim()
    mine, theirs = (each.delivery_id for each in leases())
    with writing() as current:
        current.execute(update(Lease).where(Lease.delivery_id == theirs).values(run=uuid4()))
        assert maintenance.interrupt(current.connection(), heartbeats.own_process())
    maintenance.maintain()
    assert [each.delivery_id for each in attempts()] == [mine]
    assert [each.delivery_id for each in leases()] == [theirs]


def test_long_work_that_it_had_begun_goes_on_elsewhere_and_no_other_does(
    marked: Callable[[], UUID],
) -> None:
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
