"""The `data` of each event, as typed facts with the names of the wire contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from portal.engine.events.body import AssetSnapshot, Holder, Ref, changes


class UpdateReason(StrEnum):
    """The actions that send asset.updated."""

    EDIT = "edit"
    MAINTENANCE_STARTED = "maintenance_started"
    MAINTENANCE_CANCELLED = "maintenance_cancelled"
    WARRANTY_RETURNED = "warranty_returned"
    REPAIRED = "repaired"
    FOUND = "found"
    RESTORED = "restored"
    LIQUIDATION_UNDONE = "liquidation_undone"
    RESERVATION_CANCELLED = "reservation_cancelled"
    RESERVATION_EXPIRED = "reservation_expired"
    DUE_DATE_CHANGED = "due_date_changed"
    STOCK_RECEIVED = "stock_received"
    STOCK_ISSUED = "stock_issued"
    STOCK_ADJUSTED = "stock_adjusted"


def created(asset: AssetSnapshot) -> dict[str, Any]:
    """Return the data of asset.created, with the initial quantity of stock."""
    return {"initial_quantity": asset.quantity} if asset.kind == "stock" else {}


def updated(
    reason: UpdateReason,
    before: Mapping[str, object],
    after: Mapping[str, object],
    **concerned: object,
) -> dict[str, Any]:
    """Return the data of asset.updated. `concerned`: an object such as `maintenance=…`."""
    changed_fields, changed = changes(before, after)
    return {"reason": reason, "changed_fields": changed_fields, "changes": changed, **concerned}


def deleted(asset: AssetSnapshot, reason: str) -> dict[str, Any]:
    """Return the data of asset.deleted, for receivers that only read `data`."""
    return {
        "deleted_asset_id": asset.id,
        "asset_tag": asset.asset_tag,
        "name": asset.name,
        "reason": reason,
    }


@dataclass(frozen=True, slots=True)
class StaffRef:
    id: int
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class ClosedAssignment:
    """An assignment that another action ended. `type` is allocation or checkout."""

    id: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """An allocation. `location`: the asset's location at that time."""

    allocation_id: int
    staff: StaffRef
    allocated_at: datetime
    location: Ref | None
    condition_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The end of an allocation. `held_days`: whole days."""

    revoked_at: datetime
    held_days: int
    condition_in: str
    return_location: Ref | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A check-out. `reservation_id`: the reservation that it fulfills."""

    checkout_id: int
    staff: StaffRef
    checked_out_at: datetime
    due_at: datetime
    purpose: str
    condition_out: str
    reservation_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A check-in. `days_overdue`: whole days, 0 if it was late by less than one."""

    returned_at: datetime
    was_overdue: bool
    days_overdue: int
    condition_in: str
    return_location: Ref | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A transfer. `holder` keeps the asset."""

    transfer_id: int
    from_location: Ref | None
    to_location: Ref
    transferred_at: datetime
    reason: str
    holder: Holder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A loss, which cancels the asset's reservations and maintenance."""

    incident_id: int
    lost_at: datetime
    description: str
    last_location: Ref | None
    previous_holder: StaffRef | None
    closed_assignment: ClosedAssignment | None
    under_warranty: bool
    cancelled_reservation_ids: Sequence[int]
    cancelled_maintenance_ids: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    incident_id: int
    broken_at: datetime
    description: str
    last_location: Ref | None
    previous_holder: StaffRef | None
    closed_assignment: ClosedAssignment | None
    under_warranty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantyClaim:
    """A warranty repair. `rma_number`: the supplier's number for the return."""

    claim_id: int
    sent_at: datetime
    supplier: str | None
    rma_number: str | None
    expected_back_on: date | None
    problem: str
    under_warranty: bool
    previous_holder: StaffRef | None
    closed_assignment: ClosedAssignment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """A disposal. `method`: sold, donated, recycled, scrapped, or written_off."""

    liquidation_id: int
    liquidated_at: datetime
    method: str
    proceeds: Decimal | None
    currency: str
    recipient: str | None
    purchase_cost: Decimal | None
    cancelled_reservation_ids: Sequence[int]
    cancelled_maintenance_ids: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationFacts:
    """A reservation. `staff`: the person who requested the asset."""

    reservation_id: int
    staff: StaffRef
    starts_at: datetime
    ends_at: datetime
    purpose: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """A planned maintenance. Costs are in the installation's currency."""

    maintenance_id: int
    title: str
    type: str
    due_on: date
    repeat_every_days: int | None
    assignee: Ref | None
    supplier: str | None
    estimated_cost: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFacts:
    """A completed maintenance, and the next one if it repeats."""

    completed_on: date
    was_late: bool
    outcome: str
    cost: Decimal | None
    performed_by: Ref | None
    next_maintenance: Mapping[str, Any] | None


def decided(
    reservation: ReservationFacts, decided_by: Ref | None, decided_at: datetime
) -> dict[str, Any]:
    """Return the data of asset.reservation_approved. `decided_by` is null for the portal itself."""
    return {**data_of(reservation), "decided_by": decided_by, "decided_at": decided_at}


def rejected(
    reservation: ReservationFacts, decided_by: Ref | None, decided_at: datetime, reason: str
) -> dict[str, Any]:
    return {**decided(reservation, decided_by, decided_at), "rejection_reason": reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantyExpiring:
    """A warranty that ends in `days_left` days. 0 means that today is its last day."""

    warranty_expires: date
    days_left: int
    threshold_days: int
    supplier: str | None
    holder: Holder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceDue:
    """A maintenance that is due. `days_left` is negative once it is `overdue`."""

    maintenance_id: int
    title: str
    type: str
    due_on: date
    days_left: int
    overdue: bool
    threshold_days: int
    assignee: Ref | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutOverdue:
    """An overdue check-out. `days_overdue`: whole days, 0 if it is late by less than one."""

    checkout_id: int
    staff: StaffRef
    checked_out_at: datetime
    due_at: datetime
    days_overdue: int
    reminder_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LowStock:
    """A consumable below its threshold. `last_move`: the stock movement that caused it, if known.

    `shortfall`: the difference to the threshold.
    """

    quantity: int
    min_quantity: int
    unit: str | None
    shortfall: int
    location: Ref | None
    last_move: Mapping[str, Any] | None


AlertFacts = WarrantyExpiring | MaintenanceDue | CheckoutOverdue | LowStock


def alerted(alert_id: int, facts: AlertFacts) -> dict[str, Any]:
    """Return the data of an alert. `alert_id`: the ID of its row in the alert log."""
    return {"alert_id": alert_id, **data_of(facts)}


class Facts(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


def data_of(*parts: Facts) -> dict[str, Any]:
    """Return the parts' fields by name, one part after the other, with unchanged values."""
    return {name: getattr(part, name) for part in parts for name in part.__dataclass_fields__}
