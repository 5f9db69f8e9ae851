"""Rows of planning as the verbs take them: the people chosen, and what receivers see of a row."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.delivery.payload import Ref
from portal.delivery.planning_details import PlanFacts, ReservationFacts
from portal.models.holdings import Staff
from portal.models.planning import Maintenance, Reservation
from portal.services.assignments import staff_ref
from portal.services.refusals import NotFound

Row = TypeVar("Row", Reservation, Maintenance)


def asset_of(current: Session, kind: type[Row], public_id: UUID, called: str) -> int:
    """The id of the asset that a reservation or a maintenance is about. Raises `NotFound`."""
    found = current.scalar(select(kind.asset_id).where(kind.public_id == public_id))
    if found is None:
        raise NotFound(f"There is no such {called}.")
    return found


def lock_row(current: Session, kind: type[Row], public_id: UUID) -> Row:
    """The row for update, as it is now. Lock its asset first: everybody goes in that order."""
    wanted = select(kind).where(kind.public_id == public_id)
    fresh = wanted.with_for_update().execution_options(populate_existing=True)
    return current.scalars(fresh).one()


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
