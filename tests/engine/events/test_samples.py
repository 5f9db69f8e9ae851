"""The payload of every event, byte for byte against files, and key by key against the contract."""

import json
from pathlib import Path
from typing import Any

import pytest

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body

GOLDEN = Path(__file__).parent / "golden"

ENVELOPE = ["event", "timestamp", "source", "asset_id", "asset", "data"]
ALWAYS = ["actor", "origin", "batch_id", "status_from", "status_to", "note"]

ITEM_FIELDS = (
    "id asset_tag name kind category manufacturer model serial_number status condition location"
    " holder supplier order_number purchase_date purchase_cost currency warranty_expires version"
    " created_at updated_at"
)
ITEM = ITEM_FIELDS.split()
STOCK = [*ITEM[:-3], "quantity", "min_quantity", "unit", *ITEM[-3:]]

ALLOCATION = "allocation_id staff allocated_at location condition_out"
CHECKOUT = "checkout_id staff checked_out_at due_at purpose condition_out reservation_id"
RESERVATION = "reservation_id staff starts_at ends_at purpose state"
MAINTENANCE = "maintenance_id title type due_on repeat_every_days assignee supplier estimated_cost"
CANCELLED = "cancelled_reservation_ids cancelled_maintenance_ids"
ADDED = {
    EventName.CREATED: "",
    EventName.UPDATED: "reason changed_fields changes",
    EventName.DELETED: "deleted_asset_id asset_tag name reason",
    EventName.ALLOCATED: ALLOCATION,
    EventName.REVOKED: f"{ALLOCATION} revoked_at held_days condition_in return_location reason",
    EventName.CHECKED_OUT: CHECKOUT,
    EventName.CHECKED_IN: (
        f"{CHECKOUT} returned_at was_overdue days_overdue condition_in return_location"
    ),
    EventName.RESERVED: RESERVATION,
    EventName.RESERVATION_APPROVED: f"{RESERVATION} decided_by decided_at",
    EventName.RESERVATION_REJECTED: f"{RESERVATION} decided_by decided_at rejection_reason",
    EventName.MAINTENANCE_SCHEDULED: MAINTENANCE,
    EventName.MAINTENANCE_COMPLETED: (
        f"{MAINTENANCE} completed_on was_late outcome cost performed_by next_maintenance"
    ),
    EventName.TRANSFERRED: ("transfer_id from_location to_location transferred_at reason holder"),
    EventName.LOST: (
        "incident_id lost_at description last_location previous_holder closed_assignment"
        f" under_warranty {CANCELLED}"
    ),
    EventName.BROKEN: (
        "incident_id broken_at description last_location previous_holder closed_assignment"
        " under_warranty"
    ),
    EventName.WARRANTY: (
        "claim_id sent_at supplier rma_number expected_back_on problem under_warranty"
        " previous_holder closed_assignment"
    ),
    EventName.LIQUIDATED: (
        f"liquidation_id liquidated_at method proceeds currency recipient purchase_cost {CANCELLED}"
    ),
    EventName.WARRANTY_EXPIRING: (
        "alert_id warranty_expires days_left threshold_days supplier holder"
    ),
    EventName.MAINTENANCE_DUE: (
        "alert_id maintenance_id title type due_on days_left overdue threshold_days assignee"
    ),
    EventName.CHECKOUT_OVERDUE: (
        "alert_id checkout_id staff checked_out_at due_at days_overdue reminder_no"
    ),
    EventName.LOW_STOCK: ("alert_id quantity min_quantity unit shortfall location last_move"),
}

EVERY_EVENT = pytest.mark.parametrize("event", EventName)


def read(event: EventName) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(sample_body(event))
    return body


@EVERY_EVENT
def test_the_bytes_are_those_of_the_golden_file(event: EventName) -> None:
    # A difference here is a change of the wire contract that receivers will feel.
    assert sample_body(event) == (GOLDEN / f"{event}.json").read_bytes()


def test_every_golden_file_belongs_to_an_event() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(EventName)


@EVERY_EVENT
def test_a_body_has_the_keys_of_the_contract_in_their_order(event: EventName) -> None:
    body = read(event)
    asset, data = body["asset"], body["data"]
    assert list(body) == ENVELOPE
    assert body["timestamp"] == "2025-02-04T12:00:00+00:00"
    assert list(asset) == (STOCK if asset["kind"] == "stock" else ITEM)
    assert list(data) == [*ALWAYS, *ADDED[event].split()]
    if event is EventName.DELETED:
        assert body["asset_id"] is None
        assert body["data"]["deleted_asset_id"] == body["asset"]["id"]
    else:
        assert body["asset_id"] == body["asset"]["id"]


@EVERY_EVENT
def test_a_sample_agrees_with_itself(event: EventName) -> None:
    body = read(event)
    asset, data = body["asset"], body["data"]
    assert data["status_to"] == (None if event is EventName.DELETED else asset["status"])
    assert (asset["holder"] is not None) is (asset["status"] in {"allocated", "checked_out"})
    assert asset["condition"] == data.get("condition_in", asset["condition"])
    assert asset["location"] == data.get("return_location", asset["location"])
    assert asset["location"] == data.get("to_location", asset["location"])
