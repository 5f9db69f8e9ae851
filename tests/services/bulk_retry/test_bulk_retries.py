"""Bulk retries as things: all of them, what one has left, and what a second one leaves to it."""

from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.deliveries import BatchRow
from portal.models.tasks import TaskState
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection, Skip
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.services.bulk_retry.test_bulk_retry import (
    FAILED,
    all_that,
    finish,
    fresh,
    handed,
    some,
    work,
)
from tests.support.deliveries import find_lease, lease, stored
from tests.support.factories import make_user, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("support", name="Ana").actor


@pytest.fixture
def sam(app: Flask) -> Actor:
    return make_user("support", name="Sam").actor


def stopped_after_one(actor: Actor, made: list[UUID], monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A bulk retry of all that failed, of which one arrived before it was stopped."""
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    batch = bulk_retry.start(actor, all_that(FAILED))
    work()
    finish(made[0], "delivered")
    bulk_retry.stop(actor, batch)
    work()
    return batch


def test_all_are_listed_the_newest_first_and_those_under_way_apart(ana: Actor, sam: Actor) -> None:
    ill, well = make_webhook(), make_webhook()
    broken, good = some(12, ill), some(1, well)
    first = bulk_retry.start(sam, all_that(LogFilter(webhook=ill.public_id)))
    work()
    for each in broken[:10]:
        finish(each, "failed")
    work()
    second = bulk_retry.start(ana, Selection(ticked=tuple(good)))
    assert [each.public_id for each in bulk_retry.find_page().rows] == [second, first]
    assert [each.public_id for each in bulk_retry.under_way()] == [second, first]
    assert fresh(first).state == TaskState.PAUSED
    assert bulk_retry.remaining(fresh(first)) == 2
    work()
    finish(good[0], "delivered")
    work()
    assert [each.public_id for each in bulk_retry.under_way()] == [first]
    assert len(bulk_retry.find_page().rows) == 2


def test_the_rest_of_one_that_was_stopped_is_what_it_did_not_send(
    ana: Actor, sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = some(4, make_webhook())
    batch = stopped_after_one(ana, made, monkeypatch)
    assert bulk_retry.remaining(fresh(batch)) == 3
    choice = Selection(rest_of=batch)
    assert (
        bulk_retry_selection.count(choice).total,
        bulk_retry.taken_up([fresh(batch)]),
    ) == (3, set())
    rest = bulk_retry.start(sam, choice)
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 9)
    work()
    assert handed(made) == made[1:]
    assert fresh(rest).total == 3
    assert bulk_retry.taken_up([fresh(batch), fresh(rest)]) == {batch}


@pytest.mark.parametrize(("most", "is_found"), [(1, False), (2, True)])
def test_who_took_up_a_rest_is_looked_for_among_so_many_later_ones_and_no_more(
    ana: Actor, monkeypatch: pytest.MonkeyPatch, most: int, is_found: bool
) -> None:
    batch = stopped_after_one(ana, some(3, make_webhook()), monkeypatch)
    bulk_retry.start(ana, Selection(ticked=tuple(some(1, make_webhook()))))
    bulk_retry.start(ana, Selection(rest_of=batch))
    monkeypatch.setattr(bulk_retry, "MOST_LATER", most)
    assert bulk_retry.taken_up([fresh(batch)]) == ({batch} if is_found else set())


def test_what_has_arrived_meanwhile_is_not_in_the_rest(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = some(3, make_webhook())
    batch = stopped_after_one(ana, made, monkeypatch)
    finish_alone = stored(made[1])
    assert finish_alone["status"] == "failed"
    bulk_retry.start(ana, Selection(ticked=(made[1],)))
    work()
    finish(made[1], "delivered")
    work()
    assert bulk_retry_selection.count(Selection(rest_of=batch)).total == 1


def test_a_long_rest_is_read_in_chunks(ana: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    made = some(6, make_webhook())
    batch = stopped_after_one(ana, made, monkeypatch)
    monkeypatch.setattr(bulk_retry_selection, "CHUNK", 2)
    choice = Selection(rest_of=batch)
    found = [row.public_id for rows in bulk_retry_selection.pages(choice) for row in rows]
    assert found == made[:0:-1]
    rest = bulk_retry.start(ana, choice)
    for _ in range(4):
        work()
    assert fresh(rest).total == 5
    assert bulk_retry_selection.count(Selection(rest_of=uuid4())).total == 0


def test_a_second_one_leaves_to_the_first_what_that_has_taken(ana: Actor, sam: Actor) -> None:
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


def test_what_one_that_has_ended_had_taken_is_free_again(ana: Actor) -> None:
    made = some(2, make_webhook())
    bulk_retry.start(ana, all_that(FAILED))
    work()
    for each in made:
        finish(each, "failed")
    work()
    assert bulk_retry.under_way() == []
    assert bulk_retry_selection.count(all_that(FAILED)).total == 2


def test_a_try_that_was_cut_off_before_is_no_result_of_the_bulk_retry(ana: Actor) -> None:
    (made,) = some(1, make_webhook(), status="retrying", attempts=1, tries=1)
    lease(made, -1)
    bulk_retry.start(ana, all_that(LogFilter()))
    work()
    assert find_lease(made) is None
    assert stored(made)["attempts"] == 2
    assert session().scalars(select(BatchRow.attempts)).all() == [2]
