"""Concurrent asset changes: one wins, the other is refused, and no tag is used twice."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.lib.clock import utcnow
from portal.models.assets import Asset, Location
from portal.models.assignments import Staff
from portal.models.deliveries import Event
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.actions.planning import reservations
from portal.services.actions.planning.rules import ReservationValues
from portal.services.assets import named_lists
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from tests.support.database.rivals import at_once, meanwhile
from tests.support.factories import (
    make_asset,
    make_category,
    make_location,
    make_staff,
    make_user,
)

pytestmark = pytest.mark.both_databases


def allocate(asset_id: int, staff_id: int) -> None:
    assignments.allocate(SYSTEM, asset_id, staff_id=staff_id)


def allocate_to_whom_one_has_read(asset_id: int, staff_id: int) -> None:
    with writing() as current:
        person = current.get_one(Staff, staff_id)
        assignments.allocate(SYSTEM, asset_id, staff_id=person.id)


def reserve(asset_id: int, staff_id: int) -> None:
    start = utcnow() + timedelta(days=1)
    wish = ReservationValues(staff_id=staff_id, starts_at=start, ends_at=start + timedelta(days=1))
    reservations.reserve(SYSTEM, asset_id, wish)


def test_concurrent_new_assets_each_get_their_own_number(app: Flask) -> None:
    make_asset(asset_tag="AST-00003")
    made = at_once(app, [make_asset] * 8)
    assert len(set(made)) == 8
    tags = session().scalars(select(Asset.asset_tag).order_by(Asset.asset_tag)).all()
    assert tags == [f"AST-{number:05}" for number in range(1, 10)]


def test_generated_and_chosen_tags_do_not_collide(app: Flask) -> None:
    chosen: list[Callable[[], object]] = [
        lambda tag=f"AST-{number:05}": make_asset(asset_tag=tag)  # type: ignore[misc]  # bound early
        for number in (1, 2)
    ]
    results = at_once(app, [*chosen, make_asset, make_asset])
    refused = [refusal for refusal in results if isinstance(refusal, Refusal)]
    assert all(refusal.field == "asset_tag" for refusal in refused)
    tags = session().scalars(select(Asset.asset_tag)).all()
    assert len(tags) == len(set(tags)) == 4 - len(refused)


def test_one_of_two_concurrent_assets_gets_the_serial_number(app: Flask) -> None:
    results = at_once(app, [lambda: make_asset(serial_number="S-1")] * 2)
    refused = [result for result in results if isinstance(result, Refusal)]
    assert [result.field for result in refused] == ["serial_number"]
    assert refused[0].sentence.endswith("already has this serial number")
    assert len(session().scalars(select(Event.id)).all()) == 1


def test_concurrent_deletes_publish_one_event(app: Flask) -> None:
    ana, asset_id = make_user(), make_asset()
    results = at_once(app, [lambda: lifecycle.delete_asset(ana.actor, asset_id)] * 3)
    assert sum(isinstance(result, NotFound) for result in results) == 2
    events = session().scalars(select(Event.event).order_by(Event.id)).all()
    assert events == ["asset.created", "asset.deleted"]


def test_a_category_is_not_deleted_while_a_new_asset_uses_it(app: Flask) -> None:
    ana = make_user()
    row_id = make_category("Chairs")
    public_id = named_lists.choices(named_lists.CATEGORIES)[0][1]
    results = at_once(
        app,
        [
            lambda: make_asset(category_id=row_id),
            lambda: named_lists.delete(named_lists.CATEGORIES, ana.actor, public_id),
        ],
    )
    assert sum(isinstance(result, Refusal) for result in results) == 1


@pytest.mark.parametrize("verb", [allocate, allocate_to_whom_one_has_read, reserve])
def test_concurrently_deactivated_staff_get_nothing(
    app: Flask, verb: Callable[[int, int], object]
) -> None:
    staff_id, asset_id = make_staff("Zoe"), make_asset()

    def leave(current: Session) -> None:
        current.get_one(Staff, staff_id, with_for_update=True).is_active = False

    refusal = meanwhile(app, lambda: verb(asset_id, staff_id), leave)
    assert refusal.sentence == "Choose someone else. Zoe is former staff"


def move(location_id: int) -> None:
    incidents.transfer(SYSTEM, make_asset(), location_id=location_id)


def add(location_id: int) -> None:
    make_asset(location_id=location_id)


@pytest.mark.parametrize("verb", [move, add])
def test_a_concurrently_deleted_location_is_refused(
    app: Flask, verb: Callable[[int], object]
) -> None:
    location_id = make_location("Attic")

    def delete(current: Session) -> None:
        current.delete(current.get_one(Location, location_id, with_for_update=True))

    refusal = meanwhile(app, lambda: verb(location_id), delete)
    assert refusal.sentence == "Choose another location. This one was deleted"
    assert refusal.field == "location_id"
