"""Allocation, check-out, revocation and check-in: guards, effects and events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal.lib.clock import frozen, utcnow
from portal.models.planning import Reservation
from portal.services.actions import assignments, lifecycle
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import ReservationValues
from portal.services.assets import queries as asset_queries
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from tests.services.actions.plan_examples import bodies
from tests.support.factories import make_asset, make_location, make_staff, make_user

pytestmark = pytest.mark.usefixtures("app")


def in_days(days: float) -> datetime:
    return (utcnow() + timedelta(days=days)).replace(microsecond=0)


def told() -> list[dict[str, Any]]:
    """Return the bodies of all events except the first, the creation of the asset."""
    return bodies()[1:]


def approved(asset_id: int, staff_id: int, starts_at: datetime, ends_at: datetime) -> int:
    """Create an approved reservation and return its row id."""
    wish = ReservationValues(staff_id=staff_id, starts_at=starts_at, ends_at=ends_at)
    public_id = planning_reservations.reserve(SYSTEM, asset_id, wish)
    planning_reservations.approve(SYSTEM, public_id)
    query = select(Reservation.id).where(Reservation.public_id == public_id)
    return session().execute(query).scalar_one()


def test_an_allocation_event_names_holder_and_location() -> None:
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


def test_holders_returns_only_current_holders_of_the_given_assets() -> None:
    one, other, back, free = (make_asset() for _ in range(4))
    maria, ben = make_staff("Maria Lopez"), make_staff("Ben")
    for asset_id, staff_id in ((one, ben), (back, ben), (other, maria)):
        assignments.allocate(SYSTEM, asset_id, staff_id=staff_id)
    for asset_id in (one, back):
        assignments.revoke(SYSTEM, asset_id)
    assignments.allocate(SYSTEM, one, staff_id=maria)
    holders = asset_queries.holders([one, back, free])
    assert [(row_id, assignment.staff.name) for row_id, assignment in holders.items()] == [
        (one, "Maria Lopez")
    ]


def test_a_revocation_can_change_condition_and_location() -> None:
    asset_id, store = make_asset(), make_location("Store")
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    assignments.revoke(SYSTEM, asset_id, condition_in="poor", location_id=store, reason="Old")
    body = told()[-1]
    assert (body["asset"]["condition"], body["asset"]["holder"]) == ("poor", None)
    assert body["asset"]["location"] == body["data"]["return_location"]
    assert (body["data"]["condition_in"], body["data"]["reason"]) == ("poor", "Old")
    assert body["data"]["held_days"] == 0


def test_a_check_in_after_the_due_time_is_overdue_by_whole_days() -> None:
    for hours, was_overdue, days in ((-1, False, 0), (0, False, 0), (23.9, True, 0), (24, True, 1)):
        asset_id, due_at = make_asset(), in_days(3)
        assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
        with frozen(due_at + timedelta(hours=hours)):
            assignments.check_in(SYSTEM, asset_id)
        data = told()[-1]["data"]
        assert (data["was_overdue"], data["days_overdue"]) == (was_overdue, days), hours


def test_a_revocation_reports_how_many_days_the_asset_was_held() -> None:
    asset_id = make_asset()
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    with frozen(in_days(4.5)):
        assignments.revoke(SYSTEM, asset_id)
    assert told()[-1]["data"]["held_days"] == 4


def test_a_reassignment_puts_its_note_in_both_events_and_keeps_the_location() -> None:
    room = make_location("Room 204")
    asset_id = make_asset(location_id=room)
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Maria"))
    assignments.reassign(SYSTEM, asset_id, staff_id=make_staff("Ben"), note="With bag")
    _, revoked, allocated = told()
    for body in (revoked, allocated):
        assert body["data"]["note"] == "With bag"
        assert body["asset"]["location"] == {"id": room, "name": "Room 204"}


def test_a_reassignment_publishes_both_steps() -> None:
    asset_id, maria, ben = make_asset(), make_staff("Maria"), make_staff("Ben")
    assignments.allocate(SYSTEM, asset_id, staff_id=maria)
    assignments.reassign(SYSTEM, asset_id, staff_id=ben, reason="New job")
    _, revoked, allocated = told()
    assert [body["event"] for body in (revoked, allocated)] == ["asset.revoked", "asset.allocated"]
    assert revoked["asset"]["holder"] is None
    assert revoked["data"]["staff"]["name"] == "Maria"
    assert allocated["asset"]["holder"]["name"] == "Ben"
    assert [body["asset"]["version"] for body in (revoked, allocated)] == [3, 4]


def test_a_refused_reassignment_keeps_the_holder() -> None:
    asset_id, maria = make_asset(), make_staff("Maria")
    assignments.allocate(SYSTEM, asset_id, staff_id=maria)
    for staff_id, words in ((maria, "Maria already has this asset"), (None, "Choose a person")):
        with pytest.raises(Refusal, match=words) as caught:
            assignments.reassign(SYSTEM, asset_id, staff_id=staff_id)
        assert caught.value.field == "staff_id"
    assert [body["event"] for body in told()] == ["asset.allocated"]
    assert lifecycle.find_asset(asset_id).status == "allocated"


def test_a_due_date_change_is_published_once_with_its_reason() -> None:
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
def test_a_check_out_needs_a_due_date_in_the_future(due_at: datetime | None) -> None:
    asset_id = make_asset()
    with pytest.raises(Refusal) as caught:
        assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
    assert caught.value.field == "due_at"
    assert told() == []


def test_a_reservation_blocks_others_and_the_refusal_offers_a_way_out() -> None:
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


def test_a_reservation_that_starts_now_blocks_others_and_can_be_fulfilled() -> None:
    asset_id, ana, ben = make_asset(), make_staff("Ana"), make_staff("Ben")
    starts_at = in_days(2)
    row_id = approved(asset_id, ana, starts_at, starts_at + timedelta(days=1))
    with (
        frozen(starts_at),
        pytest.raises(Refusal, match="Ana has reserved this asset until ") as refused,
    ):
        assignments.allocate(SYSTEM, asset_id, staff_id=ben)
    assert refused.value.sentence.endswith("Wait until then or reject Ana’s reservation")
    with frozen(starts_at):
        assignments.allocate(SYSTEM, asset_id, staff_id=ana)
    assert session().get_one(Reservation, row_id).state == "fulfilled"


def test_a_refusal_shows_times_in_the_users_time_zone() -> None:
    asset_id, ana, ben = make_asset(), make_staff("Ana"), make_staff("Ben")
    starts_at = datetime(2150, 5, 3, 9, tzinfo=UTC)
    approved(asset_id, ana, starts_at, starts_at + timedelta(days=1))
    in_auckland = make_user(time_zone="Pacific/Auckland").actor
    with pytest.raises(Refusal, match="from May 3, 2150, 21:00"):
        assignments.allocate(in_auckland, asset_id, staff_id=ben)


def test_a_refusal_names_the_year_of_a_time_in_another_year() -> None:
    asset_id, ana, ben = make_asset(), make_staff("Ana"), make_staff("Ben")
    starts_at = datetime(2150, 5, 3, 9, tzinfo=UTC)
    approved(asset_id, ana, starts_at, starts_at + timedelta(days=1))
    # The year ends an hour earlier in Vienna than in UTC.
    for minute, words in ((59, "from May 3, 2150, 11:00"), (60, "from May 3, 11:00")):
        now = datetime(2149, 12, 31, 22, tzinfo=UTC) + timedelta(minutes=minute)
        with frozen(now), pytest.raises(Refusal, match=words):
            assignments.allocate(SYSTEM, asset_id, staff_id=ben)


def test_a_reserved_asset_cannot_be_deleted() -> None:
    asset_id = make_asset()
    approved(asset_id, make_staff("Ana"), in_days(2), in_days(4))
    with pytest.raises(Refusal, match="is still reserved"):
        lifecycle.delete_asset(SYSTEM, asset_id)
