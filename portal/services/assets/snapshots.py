"""Convert rows of the register to the facts that events carry."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from portal.engine.events import details
from portal.engine.events.body import AssetSnapshot, Holder, Ref
from portal.engine.events.details import PlanFacts, ReservationFacts, StaffRef
from portal.extensions import settings
from portal.models.assets import Asset, AssetStatus, Category, Location, StockMove
from portal.models.assignments import Assignment, Staff
from portal.models.people import User
from portal.models.planning import Maintenance, Reservation
from portal.services.assets.fields import ASSET_FIELDS
from portal.services.core.unit_of_work import session

# Fields that receivers get only as changes, never in a snapshot.
QUIET_FIELDS: Final = (
    *(field.name for field in ASSET_FIELDS if not field.in_event),
    "deleted_at",
)
WITH_SOMEBODY: Final = frozenset({AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT})


def snapshot(asset: Asset) -> AssetSnapshot:
    """Return the asset as receivers see it. Flush first to store ids, numbers, and times.

    Money is in the installation's currency, which is included even without a cost.
    """
    return _snapshot(asset, _holder(asset))


def snapshots(
    assets: Sequence[Asset], holdings: Mapping[int, Assignment]
) -> Iterator[AssetSnapshot]:
    """Yield the assets as receivers see them. `holdings` has open assignments by asset id."""
    for asset in assets:
        holding = holdings.get(asset.id) if asset.status in WITH_SOMEBODY else None
        yield _snapshot(asset, holder_of(holding) if holding else None)


def _snapshot(asset: Asset, holder: Holder | None) -> AssetSnapshot:
    made: dict[str, Any] = {
        "category": ref(asset.category),
        "location": ref(asset.location),
        "holder": holder,
        "currency": settings().currency,
    }
    columns = [name for name in AssetSnapshot.__dataclass_fields__ if name not in made]
    return AssetSnapshot(**{name: getattr(asset, name) for name in columns}, **made)


def fields_of(asset: Asset, seen: AssetSnapshot | None = None) -> dict[str, Any]:
    """Return the fields that events can report as changed. `seen` is the snapshot, if known.

    The due time is separate from the holder, so that a new due time is not a new holder.
    """
    seen = seen or snapshot(asset)
    fields = {name: getattr(seen, name) for name in seen.__dataclass_fields__}
    if seen.holder:
        fields["holder"] = replace(seen.holder, due_at=None)
    due_at = seen.holder.due_at if seen.holder else None
    quiet = {name: getattr(asset, name) for name in QUIET_FIELDS}
    return fields | {"due_at": due_at} | quiet


def ref(row: Category | Location | Staff | User | None) -> Ref | None:
    """Return the row's id and name as receivers see them."""
    return Ref(row.id, row.name) if row else None


def open_assignment(asset_id: int) -> Assignment | None:
    """Return the asset's open assignment with its staff, or None."""
    query = (
        select(Assignment)
        .join(Assignment.staff)
        .where(Assignment.asset_id == asset_id, Assignment.ended_at.is_(None))
        .options(contains_eager(Assignment.staff))
    )
    return session().scalars(query).first()


def holder_of(assignment: Assignment) -> Holder:
    """Return the assignment's person as the holder in a snapshot."""
    staff = assignment.staff
    return Holder(staff.id, staff.name, staff.email, assignment.due_at)


def _holder(asset: Asset) -> Holder | None:
    if asset.status not in WITH_SOMEBODY:
        return None
    holding = open_assignment(asset.id)
    return holder_of(holding) if holding else None


def staff_ref(staff: Staff) -> StaffRef:
    return StaffRef(staff.id, staff.name, staff.email)


def allocation_facts(assignment: Assignment) -> details.Allocation:
    return details.Allocation(
        allocation_id=assignment.id,
        staff=staff_ref(assignment.staff),
        allocated_at=assignment.started_at,
        location=Ref(**assignment.location) if assignment.location else None,
        condition_out=assignment.condition_out,
    )


def checkout_facts(assignment: Assignment) -> details.Checkout:
    return details.Checkout(
        checkout_id=assignment.id,
        staff=staff_ref(assignment.staff),
        checked_out_at=assignment.started_at,
        due_at=due(assignment),
        purpose=assignment.purpose,
        condition_out=assignment.condition_out,
        reservation_id=assignment.reservation_id,
    )


def due(assignment: Assignment) -> datetime:
    """Return a checkout's due time. Raises `ValueError` for an allocation, which has none."""
    if assignment.due_at is None:
        raise ValueError(f"Assignment {assignment.id} is no check-out")
    return assignment.due_at


def revocation_facts(asset: Asset, ended: Assignment, reason: str) -> details.Revocation:
    at = ended.ended_at or asset.updated_at
    return details.Revocation(
        revoked_at=at,
        held_days=(at - ended.started_at).days,
        condition_in=asset.condition,
        return_location=ref(asset.location),
        reason=reason,
    )


def return_facts(asset: Asset, ended: Assignment) -> details.Return:
    at = ended.ended_at or asset.updated_at
    late = at - due(ended)
    return details.Return(
        returned_at=at,
        was_overdue=late.total_seconds() > 0,
        days_overdue=max(late.days, 0),
        condition_in=asset.condition,
        return_location=ref(asset.location),
    )


def reservation_facts(reservation: Reservation) -> ReservationFacts:
    """Return a reservation as receivers see it. Flush first."""
    return ReservationFacts(
        reservation_id=reservation.id,
        staff=staff_ref(reservation.staff),
        starts_at=reservation.starts_at,
        ends_at=reservation.ends_at,
        purpose=reservation.purpose,
        state=reservation.state,
    )


def plan_facts(maintenance: Maintenance) -> PlanFacts:
    """Return a maintenance as receivers see it. Flush first."""
    return PlanFacts(
        maintenance_id=maintenance.id,
        title=maintenance.title,
        type=maintenance.type,
        due_on=maintenance.due_on,
        repeat_every_days=maintenance.repeat_every_days,
        assignee=ref(maintenance.assignee),
        supplier=maintenance.supplier,
        estimated_cost=maintenance.estimated_cost,
    )


def move_facts(move: StockMove) -> dict[str, Any]:
    return {
        "id": move.id,
        "type": move.kind,
        "delta": move.delta,
        "balance_after": move.balance_after,
        "moved_at": move.at,
    }


def last_move(current: Session, asset_id: int) -> StockMove | None:
    query = select(StockMove).where(StockMove.asset_id == asset_id)
    return current.scalars(query.order_by(StockMove.id.desc()).limit(1)).first()
