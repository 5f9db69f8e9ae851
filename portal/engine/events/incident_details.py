"""What `data` adds when an asset is moved, lost, broken, claimed or disposed of, in wire order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from portal.engine.events.assignment_details import ClosedAssignment, StaffRef
from portal.engine.events.body import Holder, Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """asset.transferred. `holder` keeps the asset."""

    transfer_id: int
    from_location: Ref | None
    to_location: Ref
    transferred_at: datetime
    reason: str
    holder: Holder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """asset.lost. What was planned with the asset is cancelled."""

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
    """asset.broken."""

    incident_id: int
    broken_at: datetime
    description: str
    last_location: Ref | None
    previous_holder: StaffRef | None
    closed_assignment: ClosedAssignment | None
    under_warranty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantyClaim:
    """asset.warranty. `rma_number`: the supplier's own number for the return."""

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
    """asset.liquidated. `method`: sold, donated, recycled, scrapped or written_off."""

    liquidation_id: int
    liquidated_at: datetime
    method: str
    proceeds: Decimal | None
    currency: str
    recipient: str | None
    purchase_cost: Decimal | None
    cancelled_reservation_ids: Sequence[int]
    cancelled_maintenance_ids: Sequence[int]
