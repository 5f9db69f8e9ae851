"""What `data` adds for the alerts that time brings about, in the order of the wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from portal.engine.events.assignment_details import StaffRef
from portal.engine.events.body import Holder, Ref
from portal.engine.events.facts import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class WarrantyExpiring:
    """A warranty that ends in `days_left` days; 0: today is its last day."""

    warranty_expires: date
    days_left: int
    threshold_days: int
    supplier: str | None
    holder: Holder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceDue:
    """Planned work; `days_left` is negative once it is `overdue`."""

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
    """A check-out that is late. `days_overdue`: whole days, 0 when it is late by less than one."""

    checkout_id: int
    staff: StaffRef
    checked_out_at: datetime
    due_at: datetime
    days_overdue: int
    reminder_no: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LowStock:
    """A consumable below its threshold; `last_move` is what brought it there, where that is known.

    `shortfall`: how many are missing to the threshold.
    """

    quantity: int
    min_quantity: int
    unit: str | None
    shortfall: int
    location: Ref | None
    last_move: Mapping[str, Any] | None


AlertFacts = WarrantyExpiring | MaintenanceDue | CheckoutOverdue | LowStock


def alerted(alert_id: int, facts: AlertFacts) -> dict[str, Any]:
    """What any of the four alerts adds. `alert_id`: its line of the ledger."""
    return {"alert_id": alert_id, **plain(facts)}
