"""How the places with the workers are shared out among the webhooks of a bulk retry."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.tasks import Task
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.services.bulk_retry.test_bulk_retry import FAILED, all_that, finish, handed, some, work
from tests.support.factories import make_user, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("support", name="Ana").actor


def test_a_webhook_that_failed_too_often_leaves_its_share_to_the_others(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 4)
    monkeypatch.setattr(bulk_retry, "MOST_FAILURES", 2)
    ill, well = some(3, make_webhook()), some(6, make_webhook())
    bulk_retry.start(ana, all_that(FAILED))
    work()
    assert (handed(ill), handed(well)) == (ill[:2], well[:2])
    for each in ill[:2]:
        finish(each, "failed")
    finish(well[0], "delivered")
    work()
    assert (handed(ill), handed(well)) == ([], well[1:5])


def test_more_webhooks_than_places_get_one_each_in_turn(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 2)
    # A set of these three is read in another order.
    made = [some(1, make_webhook(id=each))[0] for each in (33, 42, 48)]
    bulk_retry.start(ana, all_that(FAILED))
    work()
    assert handed(made) == made[:2]
    finish(made[0], "delivered")
    work()
    assert handed(made) == made[1:]


def test_so_many_are_handed_over_in_one_step_and_no_more(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "A_STEP", 3)
    made = some(5, make_webhook())
    bulk_retry.start(ana, Selection(ticked=tuple(made)))
    for expected in ([], made[:3], made):
        with writing() as current:
            task = current.scalars(select(Task)).one()
            bulk_retry.step(current, task)
        assert handed(made) == expected
