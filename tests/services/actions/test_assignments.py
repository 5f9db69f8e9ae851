"""Giving, lending, taking back and returning: guards, effects and what receivers get."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal.lib.clock import frozen, utcnow
from portal.models.deliveries import Event
from portal.models.planning import Reservation
from portal.services.actions import assignments, lifecycle
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import ReservationValues
from portal.services.assets import queries as asset_queries
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from tests.support.factories import make_asset, make_location, make_staff, make_user

pytestmark = pytest.mark.usefixtures("app")


def in_days(days: float) -> datetime:
    return (utcnow() + timedelta(days=days)).replace(microsecond=0)


def told() -> list[dict[str, Any]]:
    """The bodies of all events, the one of the new asset apart."""
    session().rollback()
    bodies = session().scalars(select(Event.body).order_by(Event.id)).all()
    return [json.loads(body) for body in bodies[1:]]


def approved(asset_id: int, staff_id: int, starts_at: datetime, ends_at: datetime) -> int:
    """An approved reservation; its row id."""
    wish = ReservationValues(staff_id=staff_id, starts_at=starts_at, ends_at=ends_at)
    public_id = planning_reservations.reserve(SYSTEM, asset_id, wish)
    planning_reservations.approve(SYSTEM, public_id)
    wanted = select(Reservation.id).where(Reservation.public_id == public_id)
    return session().execute(wanted).scalar_one()


def test_an_allocation_tells_who_has_it_and_from_where() -> None:
    room = make_location("Room 204")
    asset_id, maria = make_asset(location_id=room), make_staff("Maria Lopez")
    assignments.allocate(make_user("manager").actor, asset_id, staff_id=maria, note="With bag")
    (body,) = told()
    assert body["asset"]["holder"]["name"] == "Maria Lopez"
    assert body["data"]["staff"] == {
        key: value for key, value in body["asset"]["holder"].items() if key != "due_at"
    }
    assert body["data"]["location"] == {"id": room, "name": "Room 204"}
    assert (body["data"]["note"], body["data"]["condition_out"]) == ("With bag", "good")
    assert body["data"]["allocated_at"] == body["timestamp"]


def test_of_the_assets_that_are_asked_for_it_is_told_who_has_them_now() -> None:
    one, other, back, free = (make_asset() for _ in range(4))
    maria, ben = make_staff("Maria Lopez"), make_staff("Ben")
    for asset_id, staff_id in ((one, ben), (back, ben), (other, maria)):
        assignments.allocate(SYSTEM, asset_id, staff_id=staff_id)
    for asset_id in (one, back):
        assignments.revoke(SYSTEM, asset_id)
    assignments.allocate(SYSTEM, one, staff_id=maria)
    found = asset_queries.holders([one, back, free])
    assert [(row_id, each.staff.name) for row_id, each in found.items()] == [(one, "Maria Lopez")]


def test_a_return_may_change_condition_and_place() -> None:
    asset_id, store = make_asset(), make_location("Store")
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    assignments.revoke(SYSTEM, asset_id, condition_in="poor", location_id=store, reason="Old")
    body = told()[-1]
    assert (body["asset"]["condition"], body["asset"]["holder"]) == ("poor", None)
    assert body["asset"]["location"] == body["data"]["return_location"]
    assert (body["data"]["condition_in"], body["data"]["reason"]) == ("poor", "Old")
    assert body["data"]["held_days"] == 0


def test_a_return_is_late_from_the_moment_on_that_follows_and_by_whole_days() -> None:
    for hours, was_overdue, days in ((-1, False, 0), (0, False, 0), (23.9, True, 0), (24, True, 1)):
        asset_id, due_at = make_asset(), in_days(3)
        assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
        with frozen(due_at + timedelta(hours=hours)):
            assignments.check_in(SYSTEM, asset_id)
        data = told()[-1]["data"]
        assert (data["was_overdue"], data["days_overdue"]) == (was_overdue, days), hours


def test_what_is_taken_back_says_how_many_days_it_was_with_the_person() -> None:
    asset_id = make_asset()
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    with frozen(in_days(4.5)):
        assignments.revoke(SYSTEM, asset_id)
    assert told()[-1]["data"]["held_days"] == 4


def test_the_note_of_a_reassignment_stands_in_both_events_and_its_place_is_kept() -> None:
    room = make_location("Room 204")
    asset_id = make_asset(location_id=room)
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Maria"))
    assignments.reassign(SYSTEM, asset_id, staff_id=make_staff("Ben"), note="With bag")
    _, revoked, allocated = told()
    for body in (revoked, allocated):
        assert body["data"]["note"] == "With bag"
        assert body["asset"]["location"] == {"id": room, "name": "Room 204"}


def test_reassigning_tells_both_steps_in_one_transaction() -> None:
    asset_id, maria, ben = make_asset(), make_staff("Maria"), make_staff("Ben")
    assignments.allocate(SYSTEM, asset_id, staff_id=maria)
    assignments.reassign(SYSTEM, asset_id, staff_id=ben, reason="New job")
    _, revoked, allocated = told()
    assert [each["event"] for each in (revoked, allocated)] == ["asset.revoked", "asset.allocated"]
    assert revoked["asset"]["holder"] is None
    assert revoked["data"]["staff"]["name"] == "Maria"
    assert allocated["asset"]["holder"]["name"] == "Ben"
    assert [each["asset"]["version"] for each in (revoked, allocated)] == [3, 4]


def test_a_refused_reassignment_leaves_it_with_whom_it_was() -> None:
    asset_id, maria = make_asset(), make_staff("Maria")
    assignments.allocate(SYSTEM, asset_id, staff_id=maria)
    for staff_id, words in ((maria, "Maria already has this asset"), (None, "Choose a person")):
        with pytest.raises(Refusal, match=words) as caught:
            assignments.reassign(SYSTEM, asset_id, staff_id=staff_id)
        assert caught.value.field == "staff_id"
    assert [each["event"] for each in told()] == ["asset.allocated"]
    assert lifecycle.find_asset(asset_id).status == "allocated"


def test_a_due_date_is_changed_for_receivers_as_a_due_date() -> None:
    asset_id, first, second = make_asset(), in_days(2), in_days(5)
    assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=first)
    assert assignments.change_due_date(SYSTEM, asset_id, due_at=second)
    assert not assignments.change_due_date(SYSTEM, asset_id, due_at=second)
    data = told()[-1]["data"]
    assert (data["reason"], data["changed_fields"]) == ("due_date_changed", ["due_at"])
    assert data["changes"]["due_at"] == {
        "from": first.isoformat(),
        "to": second.isoformat(),
    }
    assert data["checkout"]["due_at"] == second.isoformat()
    assert len(told()) == 2


@pytest.mark.parametrize("due_at", [None, in_days(-1)])
def test_a_loan_needs_an_end_in_the_future(due_at: datetime | None) -> None:
    asset_id = make_asset()
    with pytest.raises(Refusal) as caught:
        assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
    assert caught.value.field == "due_at"
    assert told() == []


def test_somebody_elses_reservation_stands_in_the_way_with_a_way_out() -> None:
    asset_id, ana, ben = make_asset(), make_staff("Ana"), make_staff("Ben")
    starts_at = in_days(2)
    approved(asset_id, ana, starts_at, in_days(4))
    count = len(told())
    with pytest.raises(Refusal) as caught:
        assignments.check_out(SYSTEM, asset_id, staff_id=ben, due_at=in_days(3))
    assert caught.value.sentence.startswith("Ana has reserved this asset from ")
    assert caught.value.sentence.endswith(
        "Choose a due date before that or reject Ana’s reservation"
    )
    with pytest.raises(Refusal, match="Ana has reserved this"):
        assignments.allocate(SYSTEM, asset_id, staff_id=ben)
    assert len(told()) == count
    assignments.check_out(SYSTEM, asset_id, staff_id=ben, due_at=starts_at)
    with pytest.raises(Refusal, match="Ana has reserved this"):
        assignments.change_due_date(SYSTEM, asset_id, due_at=in_days(3))


def test_a_reservation_that_begins_at_this_moment_is_told_with_its_end_and_can_be_met() -> None:
    asset_id, ana, ben = make_asset(), make_staff("Ana"), make_staff("Ben")
    starts_at = in_days(2)
    wanted = approved(asset_id, ana, starts_at, starts_at + timedelta(days=1))
    with (
        frozen(starts_at),
        pytest.raises(Refusal, match="Ana has reserved this asset until ") as refused,
    ):
        assignments.allocate(SYSTEM, asset_id, staff_id=ben)
    assert refused.value.sentence.endswith("Wait until then or reject Ana’s reservation")
    with frozen(starts_at):
        assignments.allocate(SYSTEM, asset_id, staff_id=ana)
    assert session().get_one(Reservation, wanted).state == "fulfilled"


def test_a_refusal_tells_times_by_the_clock_of_whoever_reads_it() -> None:
    asset_id, ana, ben = make_asset(), make_staff("Ana"), make_staff("Ben")
    starts_at = datetime(2150, 5, 3, 9, tzinfo=UTC)
    approved(asset_id, ana, starts_at, starts_at + timedelta(days=1))
    in_auckland = make_user(time_zone="Pacific/Auckland").actor
    with pytest.raises(Refusal, match="from May 3, 2150, 21:00"):
        assignments.allocate(in_auckland, asset_id, staff_id=ben)


def test_a_refusal_names_the_year_of_a_time_where_it_is_another() -> None:
    asset_id, ana, ben = make_asset(), make_staff("Ana"), make_staff("Ben")
    starts_at = datetime(2150, 5, 3, 9, tzinfo=UTC)
    approved(asset_id, ana, starts_at, starts_at + timedelta(days=1))
    # In Vienna the year ends an hour earlier.
    for minute, words in ((59, "from May 3, 2150, 11:00"), (60, "from May 3, 11:00")):
        now = datetime(2149, 12, 31, 22, tzinfo=UTC) + timedelta(minutes=minute)
        with frozen(now), pytest.raises(Refusal, match=words):
            assignments.allocate(SYSTEM, asset_id, staff_id=ben)


def test_what_is_planned_stands_in_the_way_of_deleting() -> None:
    asset_id = make_asset()
    approved(asset_id, make_staff("Ana"), in_days(2), in_days(4))
    with pytest.raises(Refusal, match="is still reserved"):
        lifecycle.delete_asset(SYSTEM, asset_id)
