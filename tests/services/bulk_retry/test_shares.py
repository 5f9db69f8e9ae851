"""How the places with the workers are shared out among the webhooks, and how often one is sent."""

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.lib.clock import utcnow
from portal.models.tasks import Task
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry import Pace
from portal.services.tasks import Step
from tests.services.bulk_retry.test_bulk_retry import (
    FAILED,
    all_that,
    finish,
    fresh,
    handed,
    some,
    work,
)
from tests.support.deliveries import change
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


def test_the_first_to_each_webhook_goes_alone_until_its_result_is_known(
    ana: Actor, really_first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "FIRST", really_first)
    well, ill = some(30, make_webhook()), some(12, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    assert (handed(well), handed(ill)) == (well[:1], ill[:1])
    finish(well[0], "delivered")
    finish(ill[0], "failed")
    work()
    assert (handed(well), handed(ill)) == (well[1:], ill[1:10])
    for each in ill[1:10]:
        finish(each, "failed")
    work()
    bulk_retry.go_on(ana, batch)
    work()
    # What went well goes on as it was.
    assert (handed(well), handed(ill)) == (well[1:], ill[10:11])


class Clock:
    """The database's, which goes on only when it is told to."""

    def __init__(self) -> None:
        self.at = utcnow()

    def __call__(self, _current: Session) -> datetime:
        return self.at


def step() -> Step:
    with writing() as current:
        task = current.scalars(select(Task)).one()
        return bulk_retry.step(current, task)


@pytest.mark.parametrize(("pace", "seconds"), [(Pace.SECOND, 1), (Pace.TEN_SECONDS, 10)])
def test_at_a_pace_one_is_sent_after_another(
    ana: Actor, monkeypatch: pytest.MonkeyPatch, pace: Pace, seconds: int
) -> None:
    monkeypatch.setattr(bulk_retry, "database_time", clock := Clock())
    one, other = some(3, make_webhook()), some(2, make_webhook())
    bulk_retry.start(ana, all_that(FAILED), pace)
    step()
    assert handed([*one, *other]) == one[:1]
    finish(one[0], "delivered")
    clock.at += timedelta(seconds=seconds - 0.2)
    step()
    assert step().wait == timedelta(seconds=0.2)
    assert handed([*one, *other]) == []
    clock.at += timedelta(seconds=0.2)
    step()
    assert handed([*one, *other]) == one[1:2]
    assert step().wait == bulk_retry.LOOK_AGAIN
    # One that takes long holds up its own webhook alone.
    clock.at += timedelta(seconds=seconds)
    step()
    assert handed([*one, *other]) == [one[1], other[0]]


def test_what_is_skipped_takes_no_turn_at_a_pace(ana: Actor) -> None:
    made = some(4, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED), Pace.TEN_SECONDS)
    for each in made[:3]:
        change(each, status="delivered")
    work()
    assert handed(made) == made[3:]
    assert fresh(batch).counts == {"skipped": 3}
