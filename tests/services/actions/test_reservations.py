"""Reservations: conflicts, requests, decisions, collection and expiry."""

from datetime import timedelta
from functools import partial

import pytest
from flask import Flask

from portal.engine.events.catalogue import EventName
from portal.lib.clock import frozen, utcnow
from portal.models.assets import AssetStatus
from portal.models.assignments import Assignment, Staff
from portal.models.planning import Maintenance, Reservation, ReservationState
from portal.services.actions import assignments
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.assets.timeline import timeline
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import writing
from tests.services.actions.plan_examples import (
    at,
    keys_of,
    last_body,
    make_maintenance,
    make_reservation,
    put_in,
    reservation,
    told,
    wish,
)
from tests.support.database.rivals import at_once
from tests.support.factories import make_asset, make_staff, make_user

pytestmark = pytest.mark.usefixtures("app")


def lend(asset_id: int, staff_id: int, due_hours: float) -> None:
    put_in(asset_id, AssetStatus.CHECKED_OUT)
    with writing() as current:
        current.add(
            Assignment(
                asset_id=asset_id,
                staff_id=staff_id,
                kind="checkout",
                started_at=utcnow(),
                due_at=at(due_hours),
                condition_out="good",
            )
        )


def test_the_reserved_event_matches_the_catalog() -> None:
    ana, maria, asset_id = make_user(), make_staff("Maria Lopez"), make_asset()
    public_id = planning_reservations.reserve(
        ana.actor, asset_id, wish(maria, purpose="Trade fair")
    )
    body, row = last_body(), reservation(public_id)
    assert body["event"] == "asset.reserved"
    assert list(body["data"]) == keys_of(EventName.RESERVED)
    assert body["data"]["reservation_id"] == row.id
    assert body["data"]["staff"] == {"id": maria, "name": "Maria Lopez", "email": row.staff.email}
    assert body["data"]["starts_at"] == at(0).isoformat()
    assert (body["data"]["purpose"], body["data"]["state"]) == ("Trade fair", "pending")
    assert (body["data"]["status_from"], body["data"]["status_to"]) == ("available", "available")
    assert body["asset"]["version"] == 2
    assert timeline(asset_id).rows[0].note.startswith("Maria Lopez: ")


def test_the_approved_event_matches_the_catalog_and_names_the_approver() -> None:
    ana, asset_id = make_user(name="Ana"), make_asset()
    public_id = make_reservation(asset_id, make_staff())
    assert planning_reservations.approve(ana.actor, public_id) == asset_id
    data = last_body()["data"]
    assert last_body()["event"] == "asset.reservation_approved"
    assert list(data) == keys_of(EventName.RESERVATION_APPROVED)
    assert data["decided_by"] == {"id": ana.id, "name": "Ana"}
    assert data["state"] == "approved"


def test_the_rejected_event_matches_the_catalog_and_gives_the_reason() -> None:
    for approved in (False, True):
        ana, public_id = (
            make_user(),
            make_reservation(make_asset(), make_staff(), approved=approved),
        )
        planning_reservations.reject(ana.actor, public_id, "Needed for the audit")
        data = last_body()["data"]
        assert last_body()["event"] == "asset.reservation_rejected", approved
        assert list(data) == keys_of(EventName.RESERVATION_REJECTED), approved
        assert (data["state"], data["rejection_reason"]) == ("rejected", "Needed for the audit"), (
            approved
        )
        assert reservation(public_id).closed_at is not None, approved
        entry = timeline(reservation(public_id).asset_id).rows[0]
        assert entry.note.startswith("Maria Lopez: "), approved
        assert entry.note.endswith(". Needed for the audit"), approved


def test_a_rejection_needs_a_reason() -> None:
    public_id = make_reservation(make_asset(), make_staff())
    with pytest.raises(Refusal, match="Enter a reason") as refused:
        planning_reservations.reject(SYSTEM, public_id, "")
    assert refused.value.field == "rejection_reason"
    assert told() == ["asset.reserved"]


def test_a_cancellation_is_published_as_an_update() -> None:
    public_id = make_reservation(make_asset(), make_staff())
    planning_reservations.cancel(SYSTEM, public_id, "The fair is off")
    body = last_body()
    assert body["event"] == "asset.updated"
    assert body["data"]["reason"] == "reservation_cancelled"
    assert body["data"]["note"] == "The fair is off"
    assert body["data"]["changed_fields"] == []
    assert body["data"]["reservation"]["state"] == "cancelled"


def test_back_to_back_reservations_do_not_overlap() -> None:
    asset_id, maria = make_asset(), make_staff()
    make_reservation(asset_id, maria, 0, 4, approved=True)
    make_reservation(asset_id, maria, 4, 8, approved=True)
    make_reservation(asset_id, maria, -4, 0, approved=True)


@pytest.mark.parametrize("times", [(1, 3), (-1, 1), (3, 5), (-1, 9)])
def test_a_request_that_overlaps_an_approved_reservation_is_refused(
    times: tuple[float, float],
) -> None:
    asset_id = make_asset()
    make_reservation(asset_id, make_staff("Maria Lopez"), 0, 4, approved=True)
    with pytest.raises(
        Refusal, match=r"Maria Lopez has reserved this asset from .+ to "
    ) as refused:
        make_reservation(asset_id, make_staff("Ben"), *times)
    assert refused.value.field == "starts_at"
    assert told() == ["asset.reserved", "asset.reservation_approved"]


def test_a_pending_reservation_blocks_others_only_once_approved() -> None:
    asset_id = make_asset()
    first, second = (make_reservation(asset_id, make_staff()) for _ in range(2))
    planning_reservations.approve(SYSTEM, second)
    with pytest.raises(Refusal, match="has reserved this"):
        planning_reservations.approve(SYSTEM, first)
    planning_reservations.reject(SYSTEM, second, "Swapped")
    planning_reservations.approve(SYSTEM, first)
    assert reservation(first).state == ReservationState.APPROVED


@pytest.mark.both_databases
def test_one_of_two_concurrent_approvals_wins(app: Flask) -> None:
    asset_id = make_asset()
    both = [make_reservation(asset_id, make_staff()) for _ in range(2)]
    results = at_once(app, [partial(planning_reservations.approve, SYSTEM, each) for each in both])
    refused = [each for each in results if isinstance(each, Refusal)]
    assert len(refused) == 1
    assert "has reserved this" in refused[0].sentence
    assert told().count("asset.reservation_approved") == 1


def test_a_second_approval_is_refused_and_publishes_nothing() -> None:
    public_id = make_reservation(make_asset(), make_staff(), approved=True)
    with pytest.raises(Refusal, match="already approved"):
        planning_reservations.approve(SYSTEM, public_id)
    assert told() == ["asset.reserved", "asset.reservation_approved"]


def test_a_checked_out_asset_can_be_reserved_from_its_due_time_on() -> None:
    asset_id, maria = make_asset(), make_staff("Maria Lopez")
    early, fitting = make_reservation(asset_id, maria, 0, 4), make_reservation(asset_id, maria, 6)
    lend(asset_id, maria, due_hours=6)
    with pytest.raises(
        Refusal, match=r"Maria Lopez has this asset until .+ check the asset in first"
    ):
        make_reservation(asset_id, maria, 5, 9)
    with pytest.raises(Refusal, match="Maria Lopez has this asset until"):
        planning_reservations.approve(SYSTEM, early)
    planning_reservations.approve(SYSTEM, fitting)
    make_reservation(asset_id, maria, 8, 9)


@pytest.mark.parametrize("status", ["allocated", "warranty", "broken", "lost", "liquidated"])
def test_approval_checks_the_status_again(status: str) -> None:
    asset_id = make_asset()
    public_id = make_reservation(asset_id, make_staff())
    put_in(asset_id, status)
    with pytest.raises(Refusal, match="AST-00001 is "):
        planning_reservations.approve(SYSTEM, public_id)
    assert reservation(public_id).state == ReservationState.PENDING


def test_impossible_times_are_refused() -> None:
    for start, end, field, sentence in (
        (4, 4, "ends_at", "Enter an end after the start"),
        (4, 3, "ends_at", "Enter an end after the start"),
        (-72, -48, "ends_at", "Enter an end in the future"),
    ):
        with pytest.raises(Refusal, match=sentence) as refused:
            make_reservation(make_asset(), make_staff(), start, end)
        assert refused.value.field == field, start


def test_a_non_reservable_asset_cannot_be_reserved() -> None:
    asset_id = make_asset(reservable=False)
    with pytest.raises(Refusal, match="You can’t reserve AST-00001"):
        make_reservation(asset_id, make_staff())


def test_former_staff_cannot_reserve() -> None:
    asset_id, ben = make_asset(), make_staff("Ben")
    waiting = make_reservation(asset_id, ben)
    with writing() as current:
        current.get_one(Staff, ben).is_active = False
    with pytest.raises(Refusal, match="Ben is former staff") as refused:
        make_reservation(asset_id, ben)
    assert refused.value.field == "staff_id"
    with pytest.raises(Refusal, match="Ben is former staff"):
        planning_reservations.approve(SYSTEM, waiting)


def test_an_uncollected_reservation_expires_once_with_an_event() -> None:
    asset_id = make_asset()
    both = [make_reservation(asset_id, make_staff(), approved=n == 0) for n in range(1)]
    both.append(make_reservation(make_asset(), make_staff()))
    later = make_reservation(make_asset(), make_staff(), 0, 9)
    assert planning_reservations.expire_due(at(8) - timedelta(seconds=1)) == 0
    assert planning_reservations.expire_due(at(8)) == 2
    assert planning_reservations.expire_due(at(8)) == 0
    assert [reservation(public_id).state for public_id in (*both, later)] == ["expired"] * 2 + [
        "pending"
    ]
    body = last_body()
    assert body["data"]["reason"] == "reservation_expired"
    assert body["data"]["actor"]["type"] == "system"
    assert body["data"]["origin"] == "cron"
    assert body["data"]["reservation"]["state"] == "expired"
    assert timeline(asset_id).rows[0].note.startswith("Maria Lopez: ")


def test_expiry_closes_the_earliest_end_first() -> None:
    later, sooner = (make_reservation(make_asset(), make_staff(), 0, n) for n in (8, 7))
    assert planning_reservations.expire_due(at(8), limit=1) == 1
    assert [reservation(public_id).state for public_id in (later, sooner)] == ["pending", "expired"]


@pytest.mark.both_databases
def test_concurrent_expiry_closes_a_reservation_once(app: Flask) -> None:
    make_reservation(make_asset(), make_staff())
    results = at_once(app, [lambda: planning_reservations.expire_due(at(8))] * 2)
    assert sum(int(str(closed)) for closed in results) == 1
    assert told() == ["asset.reserved", "asset.updated"]


def test_conflict_ignores_the_persons_own_reservation() -> None:
    asset_id, maria, ben = make_asset(), make_staff("Maria"), make_staff("Ben")
    make_reservation(asset_id, ben, 20, 24, approved=True)
    make_reservation(asset_id, maria, 0, 4, approved=True)

    def found(start: float, end: float | None, staff_id: int | None) -> str | None:
        with writing() as current:
            until = None if end is None else at(end)
            row = planning_queries.conflict(
                current, asset_id, at(start), until, for_staff_id=staff_id
            )
            return row.staff.name if row else None

    assert found(-9, None, None) == "Maria"
    assert found(-9, None, maria) == "Ben"
    assert found(-9, 0, ben) is None
    assert found(-9, 1, ben) == "Maria"
    assert found(4, 20, None) is None
    assert found(5, None, ben) is None


def test_collecting_fulfills_the_persons_own_reservation() -> None:
    asset_id, maria, ben = make_asset(), make_staff(), make_staff()
    mine = make_reservation(asset_id, maria, 0, 4, approved=True)

    def collect(staff_id: int, hours: float, until: float | None = None) -> int | None:
        with writing() as current:
            end = None if until is None else at(until)
            return planning_queries.fulfil(current, asset_id, staff_id, at(hours), until=end)

    assert collect(ben, 1) is None
    assert collect(maria, -1) is None
    assert collect(maria, 4) is None
    assert collect(maria, -1, until=2) == reservation(mine).id
    assert reservation(mine).state == ReservationState.FULFILLED
    assert collect(maria, 1) is None
    make_reservation(asset_id, maria, 8, 12, approved=True)
    sooner = make_reservation(asset_id, maria, 4, 8, approved=True)
    assert collect(maria, 3, until=9) == reservation(sooner).id


def test_open_reservations_are_canceled_together_without_events() -> None:
    asset_id = make_asset()
    ids = [make_reservation(asset_id, make_staff(), n, n + 1, approved=n == 1) for n in range(2)]
    before = told()
    with writing() as current:
        assert planning_queries.has_open(current, asset_id)
        cancelled = planning_queries.cancel_open_reservations(current, asset_id)
        assert not planning_queries.has_open(current, asset_id)
    closed = [row.id for row in map(reservation, ids) if row.closed_at]
    assert (cancelled, told()) == (closed, before)


def test_a_past_reservation_cannot_be_approved() -> None:
    public_id = make_reservation(make_asset(), make_staff(), 0, 4)
    with frozen(at(4)), pytest.raises(Refusal, match="This reservation’s time has passed"):
        planning_reservations.approve(SYSTEM, public_id)
    with frozen(at(4) - timedelta(seconds=1)):
        planning_reservations.approve(SYSTEM, public_id)
    assert reservation(public_id).state == ReservationState.APPROVED


def test_a_request_publishes_its_note_and_a_rejection_closes_it() -> None:
    asset_id = make_asset()
    public_id = planning_reservations.reserve(SYSTEM, asset_id, wish(make_staff(), note="In a bag"))
    assert last_body()["data"]["note"] == "In a bag"
    with frozen(at(-1)):
        planning_reservations.reject(SYSTEM, public_id, "No")
    row = reservation(public_id)
    assert (row.reason, row.decided_at, row.closed_at) == ("No", at(-1), at(-1))


def test_a_refusal_names_the_earliest_blocking_reservation() -> None:
    asset_id = make_asset()
    make_reservation(asset_id, make_staff("Zoe"), 8, 12, approved=True)
    make_reservation(asset_id, make_staff("Ana"), 0, 4, approved=True)
    with pytest.raises(Refusal, match="Ana has reserved this"):
        assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Ben"))


def test_collecting_fulfills_the_earliest_of_two_reservations() -> None:
    asset_id, maria = make_asset(), make_staff()
    later, sooner = (
        make_reservation(asset_id, maria, start, start + 2, approved=True) for start in (4, 0)
    )
    assignments.check_out(SYSTEM, asset_id, staff_id=maria, due_at=at(9))
    states = [reservation(public_id).state for public_id in (sooner, later)]
    assert states == [ReservationState.FULFILLED, ReservationState.APPROVED]


def test_plans_of_an_asset_are_sorted_by_time() -> None:
    asset_id, maria = make_asset(), make_staff()
    wishes = [make_reservation(asset_id, maria, start, start + 1) for start in (6, 2, 4)]
    days = [today() + timedelta(days=plan) for plan in (9, 3, 6)]
    works = [make_maintenance(asset_id, due_on=day) for day in days]
    plans = planning_queries.plans_of(asset_id)
    assert [plan.public_id for plan in plans.reservations] == [wishes[n] for n in (1, 2, 0)]
    assert [plan.public_id for plan in plans.maintenances] == [works[n] for n in (1, 2, 0)]


def test_a_plan_is_found_only_on_its_own_asset() -> None:
    asset_id, other = make_asset(), make_asset()
    asked, planned = make_reservation(asset_id, make_staff()), make_maintenance(asset_id)
    assert planning_queries.find(Reservation, asset_id, asked).public_id == asked
    assert planning_queries.find(Maintenance, asset_id, planned).public_id == planned
    with pytest.raises(NotFound, match="This reservation doesn’t exist"):
        planning_queries.find(Reservation, other, asked)
    with pytest.raises(NotFound, match="This maintenance doesn’t exist"):
        planning_queries.find(Maintenance, other, planned)


def test_a_reservation_is_at_risk_while_its_assets_return_is_unknown() -> None:
    for status, is_at_risk in (
        *((each, False) for each in ("available", "checked_out", "maintenance")),
        *((each, True) for each in ("allocated", "warranty", "broken")),
    ):
        asset_id = make_asset()
        public_id = make_reservation(asset_id, make_staff())
        put_in(asset_id, status)
        row = reservation(public_id)
        assert planning_queries.is_at_risk(row, row.asset) is is_at_risk, status
        planning_reservations.cancel(SYSTEM, public_id)
        row = reservation(public_id)
        assert not planning_queries.is_at_risk(row, row.asset), status
