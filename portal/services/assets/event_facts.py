"""What receivers see of an asset's people, plans and stock."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events import assignment_details
from portal.engine.events.assignment_details import StaffRef
from portal.engine.events.body import Ref
from portal.engine.events.planning_details import PlanFacts, ReservationFacts
from portal.models.assets import Asset
from portal.models.assignments import Assignment, Staff
from portal.models.planning import Maintenance, Reservation
from portal.models.stock import StockMove
from portal.services.assets.snapshots import ref


def staff_ref(staff: Staff) -> StaffRef:
    """A member of staff as receivers see them."""
    return StaffRef(staff.id, staff.name, staff.email)


def allocation_facts(assignment: Assignment) -> assignment_details.Allocation:
    """An allocation as receivers see it."""
    return assignment_details.Allocation(
        allocation_id=assignment.id,
        staff=staff_ref(assignment.staff),
        allocated_at=assignment.started_at,
        location=Ref(**assignment.location) if assignment.location else None,
        condition_out=assignment.condition_out,
    )


def checkout_facts(assignment: Assignment) -> assignment_details.Checkout:
    """A check-out as receivers see it."""
    return assignment_details.Checkout(
        checkout_id=assignment.id,
        staff=staff_ref(assignment.staff),
        checked_out_at=assignment.started_at,
        due_at=due(assignment),
        purpose=assignment.purpose,
        condition_out=assignment.condition_out,
        reservation_id=assignment.reservation_id,
    )


def due(assignment: Assignment) -> datetime:
    """When a check-out is due back; every check-out is."""
    if assignment.due_at is None:
        raise ValueError(f"Assignment {assignment.id} is no check-out")
    return assignment.due_at


def revocation_facts(asset: Asset, ended: Assignment, reason: str) -> assignment_details.Revocation:
    """How an allocation ended, as receivers see it."""
    at = ended.ended_at or asset.updated_at
    return assignment_details.Revocation(
        revoked_at=at,
        held_days=(at - ended.started_at).days,
        condition_in=asset.condition,
        return_location=ref(asset.location),
        reason=reason,
    )


def return_facts(asset: Asset, ended: Assignment) -> assignment_details.Return:
    """How a check-out ended, as receivers see it."""
    at = ended.ended_at or asset.updated_at
    late = at - due(ended)
    return assignment_details.Return(
        returned_at=at,
        was_overdue=late.total_seconds() > 0,
        days_overdue=max(late.days, 0),
        condition_in=asset.condition,
        return_location=ref(asset.location),
    )


def wanted_facts(reservation: Reservation) -> ReservationFacts:
    """A reservation for receivers. Flush first."""
    return ReservationFacts(
        reservation_id=reservation.id,
        staff=staff_ref(reservation.staff),
        starts_at=reservation.starts_at,
        ends_at=reservation.ends_at,
        purpose=reservation.purpose,
        state=reservation.state,
    )


def plan_facts(maintenance: Maintenance) -> PlanFacts:
    """A maintenance for receivers. Flush first."""
    return PlanFacts(
        maintenance_id=maintenance.id,
        title=maintenance.title,
        type=maintenance.type,
        due_on=maintenance.due_on,
        repeat_every_days=maintenance.repeat_every_days,
        assignee=named(maintenance.assignee),
        supplier=maintenance.supplier,
        estimated_cost=maintenance.estimated_cost,
    )


def named(staff: Staff | None) -> Ref | None:
    """A colleague by id and name."""
    return Ref(staff.id, staff.name) if staff else None


def as_told(move: StockMove) -> dict[str, Any]:
    """A move as receivers get it."""
    return {
        "id": move.id,
        "type": move.kind,
        "delta": move.delta,
        "balance_after": move.balance_after,
        "moved_at": move.at,
    }


def last_move(current: Session, asset_id: int) -> StockMove | None:
    """The latest one."""
    wanted = select(StockMove).where(StockMove.asset_id == asset_id)
    return current.scalars(wanted.order_by(StockMove.id.desc()).limit(1)).first()
