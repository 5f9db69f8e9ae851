"""What `data` adds for reservations and maintenance, in the order of the wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from portal.engine.events.assignment_details import StaffRef
from portal.engine.events.body import Ref
from portal.engine.events.facts import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationFacts:
    """A reservation as receivers see it. `staff` wants the asset."""

    reservation_id: int
    staff: StaffRef
    starts_at: datetime
    ends_at: datetime
    purpose: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """A maintenance as it was planned. Costs are in the installation's currency."""

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
    """How a maintenance ended, and the next one where it repeats."""

    completed_on: date
    was_late: bool
    outcome: str
    cost: Decimal | None
    performed_by: Ref | None
    next_maintenance: Mapping[str, Any] | None


def reserved(reservation: ReservationFacts) -> dict[str, Any]:
    """asset.reserved, and the `reservation` of an asset.updated."""
    return plain(reservation)


def decided(
    reservation: ReservationFacts, decided_by: Ref | None, decided_at: datetime
) -> dict[str, Any]:
    """asset.reservation_approved. `decided_by` is null where the portal itself decided."""
    return {**plain(reservation), "decided_by": decided_by, "decided_at": decided_at}


def rejected(
    reservation: ReservationFacts, decided_by: Ref | None, decided_at: datetime, reason: str
) -> dict[str, Any]:
    """asset.reservation_rejected."""
    return {**decided(reservation, decided_by, decided_at), "rejection_reason": reason}


def scheduled(plan: PlanFacts) -> dict[str, Any]:
    """asset.maintenance_scheduled, and the `maintenance` of an asset.updated."""
    return plain(plan)


def completed(plan: PlanFacts, work: WorkFacts) -> dict[str, Any]:
    """asset.maintenance_completed."""
    return plain(plan, work)
