"""The list of bulk retries, the rest of a stopped one, and the overlap of two."""

from typing import Any, Final
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import BatchRow
from portal.models.tasks import Task, TaskState
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry, bulk_retry_report, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection, Skip
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.services.bulk_retry.test_bulk_retry import (
    FAILED,
    all_that,
    finish,
    forget,
    fresh,
    handed,
    set_webhook,
    some,
    work,
)
from tests.support.deliveries import change, find_lease, lease, make_delivery, stored
from tests.support.factories import make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("support", name="Ana").actor


@pytest.fixture
def sam(app: Flask) -> Actor:
    return make_user("support", name="Sam").actor


def stopped_after_one(actor: Actor, made: list[UUID], monkeypatch: pytest.MonkeyPatch) -> UUID:
    """Start a bulk retry of all failed deliveries, and stop it after one arrived."""
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    batch = bulk_retry.start(actor, all_that(FAILED))
    work()
    finish(made[0], "delivered")
    bulk_retry.stop(actor, batch)
    work()
    return batch


def test_bulk_retries_are_listed_newest_first_and_active_ones_apart(ana: Actor, sam: Actor) -> None:
    ill, well = make_webhook(), make_webhook()
    broken, good = some(12, ill), some(1, well)
    first = bulk_retry.start(sam, all_that(LogFilter(webhook=ill.public_id)))
    work()
    for entry in broken[:10]:
        finish(entry, "failed")
    work()
    second = bulk_retry.start(ana, Selection(ticked=tuple(good)))
    assert [entry.public_id for entry in bulk_retry.find_page().rows] == [second, first]
    assert [entry.public_id for entry in bulk_retry.under_way()] == [second, first]
    assert fresh(first).state == TaskState.PAUSED
    assert bulk_retry_report.rest(fresh(first)) == (2, 0, 2)
    work()
    finish(good[0], "delivered")
    work()
    assert [entry.public_id for entry in bulk_retry.under_way()] == [first]
    assert len(bulk_retry.find_page().rows) == 2


def test_the_rest_of_a_stopped_bulk_retry_is_its_unsent_deliveries(
    ana: Actor, sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = some(4, make_webhook())
    batch = stopped_after_one(ana, made, monkeypatch)
    choice = Selection(rest_of=batch)
    assert bulk_retry_report.rest(fresh(batch)) == (3, 0, 3)
    assert bulk_retry_selection.count(choice).total == 3
    rest = bulk_retry.start(sam, choice)
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 9)
    work()
    assert handed(made) == made[1:]
    assert fresh(rest).total == 3
    assert bulk_retry_report.rest(fresh(batch)) == (3, 0, 0)
    last = select(AuditEntry.changes).order_by(AuditEntry.id.desc()).limit(1)
    assert session().scalar(last) == {"rest_of": {"from": None, "to": str(batch)}}


def test_deliveries_that_arrived_meanwhile_are_not_in_the_rest(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = some(3, make_webhook())
    batch = stopped_after_one(ana, made, monkeypatch)
    assert stored(made[1])["status"] == "failed"
    bulk_retry.start(ana, Selection(ticked=(made[1],)))
    work()
    finish(made[1], "delivered")
    work()
    assert bulk_retry_selection.count(Selection(rest_of=batch)).total == 1


REST: Final[dict[str, dict[str, Any]]] = {
    "failed": {},
    "retrying": {"status": "retrying", "tries": 1},
    "retried by hand": {"status": "retrying", "prior_status": "failed"},
    "delivered": {"status": "delivered"},
    "dismissed": {"status": "dismissed"},
}


@pytest.mark.parametrize("again", [False, True])
def test_the_remaining_number_is_the_number_that_is_sent(
    ana: Actor, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    hook, off, gone = make_webhook(), make_webhook(), make_webhook()
    (sent,), made = some(1, hook), some(len(REST) + 3, hook)
    for webhook in (off, gone):
        some(1, webhook)
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    batch = bulk_retry.start(ana, all_that(FAILED, again=again))
    work()
    for delivery, columns in zip(made, REST.values(), strict=False):
        change(delivery, **{"status": "failed", **columns})
    change(made[-1], status="retrying")
    lease(made[-1])
    forget(made[-2])
    set_webhook(off, state="off")
    set_webhook(gone, deleted_at=utcnow())
    with writing() as current:
        finished = {"state": TaskState.PAUSED, "done": 1}
        current.execute(update(Task).values(finished))
    paused = bulk_retry_report.rest(fresh(batch))
    assert (paused.unsent, paused.delivered, paused.left) == (len(made) + 2, 1, 4 if again else 3)
    bulk_retry.stop(ana, batch)
    finish(sent, "delivered")
    work()
    in_another = made[-3]
    bulk_retry.start(ana, Selection(ticked=(in_another,)))
    left = bulk_retry_report.rest(fresh(batch)).left
    assert left == bulk_retry_selection.count(Selection(rest_of=batch)).total == 2
    rest = bulk_retry.start(ana, Selection(rest_of=batch))
    assert fresh(rest).total == left


def test_a_bulk_retry_with_nothing_to_send_is_refused(ana: Actor, sam: Actor) -> None:
    made = some(2, make_webhook())
    first = bulk_retry.start(sam, Selection(ticked=tuple(made)))
    arrived = make_delivery(status="delivered")
    for choice in (Selection(ticked=tuple(made)), all_that(FAILED), Selection(ticked=(arrived,))):
        with pytest.raises(Refusal, match="nothing to retry"):
            bulk_retry.start(ana, choice)
    assert [row.public_id for row in bulk_retry.find_page().rows] == [first]


def test_a_second_bulk_retry_leaves_taken_deliveries_to_the_first(ana: Actor, sam: Actor) -> None:
    hook = make_webhook()
    made = some(12, hook)
    first = bulk_retry.start(sam, all_that(LogFilter(status=StatusFilter.FAILED)))
    work()
    later = some(2, hook)
    counted = bulk_retry_selection.count(all_that(FAILED))
    assert (counted.total, counted.skipped[Skip.TAKEN]) == (2, 2)
    assert (counted.taken, counted.arrived) == ({fresh(first).id: 2}, 0)
    counted = bulk_retry_selection.count(all_that(LogFilter()))
    assert counted.taken == {fresh(first).id: 12}
    second = bulk_retry.start(ana, all_that(FAILED))
    work()
    rows = session().execute(select(BatchRow.task_id, BatchRow.delivery_id)).all()
    assert len({row.delivery_id for row in rows}) == len(rows) == 14
    assert (fresh(first).total, fresh(second).total) == (12, 2)
    assert handed([*made, *later]) == [*made[:10], *later]


def test_deliveries_of_an_ended_bulk_retry_are_free_again(ana: Actor) -> None:
    made = some(2, make_webhook())
    bulk_retry.start(ana, all_that(FAILED))
    work()
    for delivery in made:
        finish(delivery, "failed")
    work()
    assert bulk_retry.under_way() == []
    assert bulk_retry_selection.count(all_that(FAILED)).total == 2


def test_an_attempt_cut_off_earlier_is_no_result_of_the_bulk_retry(ana: Actor) -> None:
    (made,) = some(1, make_webhook(), status="retrying", attempts=1, tries=1)
    lease(made, -1)
    bulk_retry.start(ana, all_that(LogFilter()))
    work()
    assert find_lease(made) is None
    assert stored(made)["attempts"] == 2
    assert session().scalars(select(BatchRow.attempts)).all() == [2]
