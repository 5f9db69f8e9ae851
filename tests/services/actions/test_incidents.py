"""Transfer, loss, damage, warranty claim, disposal and return: effects and events."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from portal.lib.clock import frozen, utcnow
from portal.models.assets import Action, Activity
from portal.models.assignments import Incident
from portal.models.planning import Reservation
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import ReservationValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session
from tests.services.actions.plan_examples import (
    last_body,
    maintenance,
    make_maintenance,
    make_reservation,
    reservation,
)
from tests.support.factories import make_asset, make_location, make_staff, make_user

pytestmark = pytest.mark.usefixtures("app")

CLAIM = ClaimValues(
    problem="No picture", rma_number="RMA-1", expected_back_on=date(2030, 2, 18), supplier=""
)


def kept() -> list[Incident]:
    """Return the incidents of all assets, oldest first."""
    session().rollback()
    return list(session().scalars(select(Incident).order_by(Incident.id)))


def wanted_by(asset_id: int, staff_id: int) -> int:
    """Create a pending reservation and return its row id."""
    now = utcnow()
    wish = ReservationValues(
        staff_id=staff_id, starts_at=now + timedelta(days=2), ends_at=now + timedelta(days=3)
    )
    public_id = planning_reservations.reserve(SYSTEM, asset_id, wish)
    query = select(Reservation.id).where(Reservation.public_id == public_id)
    return session().execute(query).scalar_one()


def test_a_transfer_keeps_the_holder() -> None:
    office, store = make_location("Office"), make_location("Store")
    asset_id = make_asset(location_id=office)
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Maria"))
    incidents.transfer(SYSTEM, asset_id, location_id=store, reason="Rebuilding")
    body = last_body()
    assert (body["event"], body["asset"]["status"]) == ("asset.transferred", "allocated")
    assert body["data"]["from_location"] == {"id": office, "name": "Office"}
    assert body["data"]["to_location"] == {"id": store, "name": "Store"}
    assert body["data"]["holder"] == body["asset"]["holder"]
    with pytest.raises(Refusal, match="The asset is already at Store") as caught:
        incidents.transfer(SYSTEM, asset_id, location_id=store)
    assert caught.value.field == "location_id"


def test_a_loss_ends_the_assignment_and_cancels_open_plans() -> None:
    asset_id, maria = make_asset(), make_staff("Maria")
    make_reservation(make_asset(), maria)
    make_maintenance(make_asset())
    rejected, off = make_reservation(asset_id, maria), make_maintenance(asset_id)
    planning_reservations.reject(SYSTEM, rejected, "Not this week")
    planning_maintenance.cancel(SYSTEM, off)
    over = [(row.state, row.closed_at) for row in (reservation(rejected), maintenance(off))]
    pending, planned = wanted_by(asset_id, maria), make_maintenance(asset_id)
    assignments.check_out(SYSTEM, asset_id, staff_id=maria, due_at=utcnow() + timedelta(days=1))
    incidents.report_lost(SYSTEM, asset_id, description="On the train")
    body = last_body()
    assert (body["event"], body["asset"]["holder"]) == ("asset.lost", None)
    assert body["data"]["previous_holder"]["name"] == "Maria"
    assert body["data"]["closed_assignment"]["type"] == "checkout"
    assert body["data"]["cancelled_reservation_ids"] == [pending]
    assert body["data"]["cancelled_maintenance_ids"] == [maintenance(planned).id]
    assert [(row.state, row.closed_at) for row in (reservation(rejected), maintenance(off))] == over
    assert (body["data"]["status_from"], body["data"]["status_to"]) == ("checked_out", "lost")


def test_an_incident_is_published_with_the_time_it_happened() -> None:
    for verb, when in ((incidents.report_lost, "lost_at"), (incidents.report_broken, "broken_at")):
        earlier = utcnow().replace(microsecond=0) - timedelta(hours=2)
        verb(SYSTEM, make_asset(), description="On the train", note="By Ana", **{when: earlier})
        assert datetime.fromisoformat(last_body()["data"][when]) == earlier, verb
        assert (last_body()["data"]["description"], last_body()["data"]["note"]) == (
            "On the train",
            "By Ana",
        ), verb
        verb(SYSTEM, make_asset(), description="On the train")
        assert datetime.fromisoformat(last_body()["data"][when]) > earlier, verb


def test_the_timeline_counts_the_reservations_that_a_loss_canceled() -> None:
    maria = make_staff("Maria")
    for count, note in (
        (0, "On the train"),
        (1, "On the train. Also canceled: 1 reservation"),
        (2, "On the train. Also canceled: 2 reservations"),
    ):
        asset_id = make_asset()
        for number in range(count):
            start = utcnow() + timedelta(days=2 + 2 * number)
            wish = ReservationValues(
                staff_id=maria, starts_at=start, ends_at=start + timedelta(days=1)
            )
            planning_reservations.reserve(SYSTEM, asset_id, wish)
        incidents.report_lost(SYSTEM, asset_id, description="On the train")
        line = select(Activity.note).where(Activity.asset_id == asset_id)
        assert session().scalars(line.order_by(Activity.id.desc())).first() == note


def test_damage_ends_the_assignment_and_keeps_reservations() -> None:
    asset_id = make_asset(warranty_expires=date(2099, 1, 1))
    wanted_by(asset_id, make_staff("Ben"))
    assignments.allocate(SYSTEM, asset_id, staff_id=make_staff("Maria"))
    incidents.report_broken(SYSTEM, asset_id, description="It fell")
    data = last_body()["data"]
    assert (data["closed_assignment"]["type"], data["under_warranty"]) == ("allocation", True)
    assert last_body()["asset"]["condition"] == "damaged"
    with pytest.raises(Refusal, match="is still reserved"):
        lifecycle.delete_asset(SYSTEM, asset_id)


def test_a_warranty_claim_goes_to_the_supplier_and_is_closed_on_return() -> None:
    asset_id = make_asset(supplier="Northwind", location_id=make_location("Office"))
    incidents.send_to_warranty(SYSTEM, asset_id, CLAIM)
    data = last_body()["data"]
    assert (data["supplier"], data["rma_number"]) == ("Northwind", "RMA-1")
    assert (data["expected_back_on"], data["under_warranty"]) == ("2030-02-18", False)
    incidents.come_back(SYSTEM, asset_id, Action.RECEIVE_BACK, condition="good")
    back = last_body()["data"]
    assert (back["reason"], back["claim"]["id"]) == ("warranty_returned", data["claim_id"])
    assert back["changed_fields"] == ["status"]


def test_a_warranty_ends_at_midnight_in_the_installations_time_zone() -> None:
    late = datetime(2030, 6, 1, 21, 59, tzinfo=UTC)  # a minute before midnight in Vienna
    for at, is_under in ((late, True), (late + timedelta(minutes=1), False)):
        asset_id = make_asset(warranty_expires=date(2030, 6, 1))
        with frozen(at):
            incidents.report_broken(SYSTEM, asset_id, description="It fell")
        assert last_body()["data"]["under_warranty"] is is_under


def test_a_transfer_closes_at_once_and_other_incidents_on_return() -> None:
    asset_id = make_asset()
    incidents.transfer(SYSTEM, asset_id, location_id=make_location("Store"))
    incidents.report_broken(SYSTEM, asset_id, description="It fell")
    incidents.report_lost(SYSTEM, asset_id, description="Gone")
    kinds = [(incident.kind, incident.closed_at is not None) for incident in kept()]
    assert kinds == [("transfer", True), ("broken", False), ("lost", False)]
    incidents.come_back(SYSTEM, asset_id, Action.FIND)
    back = last_body()["data"]
    assert back["incident"]["id"] == kept()[-1].id
    assert all(incident.closed_at for incident in kept())
    closed = [incident.closed_at for incident in kept()]
    incidents.report_lost(SYSTEM, asset_id, description="Gone again")
    incidents.come_back(SYSTEM, asset_id, Action.FIND)
    assert last_body()["data"]["incident"]["id"] == kept()[-1].id
    assert [incident.closed_at for incident in kept()][:3] == closed


def test_a_repair_reports_the_latest_damage_and_closes_all() -> None:
    asset_id = make_asset()
    incidents.report_broken(SYSTEM, asset_id, description="It fell")
    make_maintenance(asset_id, started=True)
    incidents.report_broken(SYSTEM, asset_id, description="It burned")
    incidents.come_back(SYSTEM, asset_id, Action.REPAIR)
    first, second = kept()
    assert last_body()["data"]["incident"]["id"] == second.id
    assert first.closed_at == second.closed_at is not None


def test_a_return_keeps_location_and_condition_unless_given() -> None:
    room, store = make_location("Room 204"), make_location("Store")
    asset_id = make_asset(location_id=room, condition="fair")
    incidents.report_lost(SYSTEM, asset_id, description="Gone")
    incidents.come_back(SYSTEM, asset_id, Action.FIND)
    body = last_body()["asset"]
    assert (body["location"]["id"], body["condition"]) == (room, "fair")
    incidents.report_lost(SYSTEM, asset_id, description="Gone")
    with pytest.raises(Refusal, match="Choose a condition from the list") as refused:
        incidents.come_back(SYSTEM, asset_id, Action.FIND, condition="odd")
    assert refused.value.field == "condition"
    incidents.come_back(SYSTEM, asset_id, Action.FIND, condition="poor", location_id=store)
    body = last_body()["asset"]
    assert (body["location"]["id"], body["condition"]) == (store, "poor")


def test_remarks_of_claims_and_disposals_contain_all_details() -> None:
    assert replace(CLAIM, supplier="Northwind").remark == (
        "No picture. At Northwind. Return number RMA-1. Expected back on Feb 18, 2030"
    )
    assert ClaimValues(problem="No picture").remark == "No picture"
    sold = DisposalValues(method="written_off", recipient="Second Life", proceeds=Decimal(1180))
    assert sold.remark == "Written off to Second Life for EUR 1,180.00"


def test_only_an_administrator_can_undo_a_disposal() -> None:
    asset_id = make_asset()
    incidents.report_lost(SYSTEM, asset_id, description="Gone")
    sold = DisposalValues(method="sold", proceeds=Decimal(180), recipient="Second Life")
    incidents.liquidate(SYSTEM, asset_id, sold)
    data = last_body()["data"]
    assert (data["method"], data["proceeds"], data["recipient"]) == (
        "sold",
        "180.00",
        "Second Life",
    )
    with pytest.raises(NotAllowed):
        incidents.undo_liquidation(make_user("manager").actor, asset_id)
    incidents.undo_liquidation(make_user("admin").actor, asset_id)
    undone = last_body()["data"]
    assert (undone["reason"], undone["status_to"]) == ("liquidation_undone", "lost")


def test_an_invalid_disposal_is_refused_at_its_field() -> None:
    for values, field in (
        (DisposalValues(method="eaten"), "method"),
        (DisposalValues(method="sold", proceeds=Decimal(-1)), "proceeds"),
        (DisposalValues(method="sold", recipient="x" * 121), "recipient"),
    ):
        asset_id = make_asset()
        with pytest.raises(Refusal) as caught:
            incidents.liquidate(SYSTEM, asset_id, values)
        assert caught.value.field == field, values
        assert lifecycle.find_asset(asset_id).status == "available", values


def test_an_incident_needs_a_past_time_and_a_description() -> None:
    asset_id, tomorrow = make_asset(), utcnow() + timedelta(days=1)
    with pytest.raises(Refusal, match="isn’t in the future"):
        incidents.report_lost(SYSTEM, asset_id, description="Gone", lost_at=tomorrow)
    with pytest.raises(Refusal, match="Describe what happened"):
        incidents.report_broken(SYSTEM, asset_id, description="")


def test_an_implausible_year_is_refused() -> None:
    asset_id = make_asset()
    with pytest.raises(Refusal, match="from 1900-01-01 to 2200-12-31") as caught:
        incidents.report_lost(
            SYSTEM, asset_id, description="Gone", lost_at=datetime(1, 1, 1, 12, tzinfo=UTC)
        )
    assert caught.value.field == "lost_at"
    claim = ClaimValues(problem="No picture", expected_back_on=date(26, 3, 1))
    with pytest.raises(Refusal, match="from 1900-01-01 to 2200-12-31") as caught:
        incidents.send_to_warranty(SYSTEM, asset_id, claim)
    assert caught.value.field == "expected_back_on"


def test_a_deleted_asset_is_restored_unless_its_tag_is_taken() -> None:
    asset_id = make_asset("First", asset_tag="LAP-1")
    lifecycle.delete_asset(SYSTEM, asset_id)
    rival = make_asset("Second", asset_tag="lap-1")
    with pytest.raises(Refusal) as caught:
        incidents.restore(SYSTEM, asset_id)
    assert caught.value.sentence == (
        "“Second” already has the tag lap-1. Change the other asset first, then restore this asset."
    )
    lifecycle.delete_asset(SYSTEM, rival)
    incidents.restore(SYSTEM, asset_id)
    data = last_body()["data"]
    assert data["reason"] == "restored"
    assert (data["status_from"], data["status_to"]) == (None, "available")
    with pytest.raises(Refusal, match="isn’t deleted"):
        incidents.restore(SYSTEM, asset_id)
