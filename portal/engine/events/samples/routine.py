"""Sample cases of everyday work: lifecycle, holdings, reservations, maintenance, transfers."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from portal.engine.events import details
from portal.engine.events.body import Ref
from portal.engine.events.details import (
    Allocation,
    Checkout,
    PlanFacts,
    ReservationFacts,
    Return,
    Revocation,
    StaffRef,
    Transfer,
    UpdateReason,
    WorkFacts,
    plain,
)
from portal.engine.events.names import EventName
from portal.engine.events.samples.assets import (
    BEFORE,
    DUE,
    LAPTOP,
    MAINTENANCE,
    MARIA,
    NOW,
    OFFICE,
    STORE,
    TECHNICIAN,
    Sample,
    laptop,
)

_NEW: Final = replace(LAPTOP, version=1, created_at=NOW, updated_at=NOW)
_STAFF: Final = StaffRef(**MARIA)
_ALLOCATION: Final = Allocation(
    allocation_id=31,
    staff=_STAFF,
    allocated_at=BEFORE,
    location=OFFICE,
    condition_out="good",
)
_CHECKOUT: Final = Checkout(
    checkout_id=32,
    staff=_STAFF,
    checked_out_at=BEFORE,
    due_at=DUE,
    purpose="Trade fair",
    condition_out="good",
    reservation_id=None,
)
_WANTED: Final = ReservationFacts(
    reservation_id=58,
    staff=_STAFF,
    starts_at=DUE,
    ends_at=DUE + timedelta(days=3),
    purpose="Trade fair",
    state="pending",
)
_DECIDER: Final = Ref(2, "Ana Novak")
_PLAN: Final = PlanFacts(
    **MAINTENANCE,
    repeat_every_days=365,
    assignee=TECHNICIAN,
    supplier=None,
    estimated_cost=Decimal(40),
)
_WORK: Final = WorkFacts(
    completed_on=date(2025, 2, 4),
    was_late=False,
    outcome="ok",
    cost=Decimal("35.50"),
    performed_by=TECHNICIAN,
    next_maintenance={"id": 78, "due_on": date(2026, 2, 4)},
)

_LIFECYCLE: Final = {
    EventName.CREATED: Sample(asset=_NEW, moved=(None, "available"), details=details.created(_NEW)),
    EventName.UPDATED: Sample(
        asset=LAPTOP,
        details=details.updated(
            UpdateReason.EDIT,
            {"name": "ThinkPad", "warranty_expires": None},
            {"name": LAPTOP.name, "warranty_expires": LAPTOP.warranty_expires},
        ),
    ),
    EventName.DELETED: Sample(
        asset=LAPTOP,
        moved=("available", None),
        details=details.deleted(LAPTOP, "Entered twice"),
    ),
}

_HOLDINGS: Final = {
    EventName.ALLOCATED: Sample(
        asset=laptop("allocated"),
        moved=("available", "allocated"),
        details=details.allocated(replace(_ALLOCATION, allocated_at=NOW)),
        note="With charger and bag",
    ),
    EventName.REVOKED: Sample(
        asset=replace(LAPTOP, location=STORE),
        moved=("allocated", "available"),
        details=details.revoked(
            _ALLOCATION,
            Revocation(
                revoked_at=NOW,
                held_days=15,
                condition_in="good",
                return_location=STORE,
                reason="New device",
            ),
        ),
    ),
    EventName.CHECKED_OUT: Sample(
        asset=laptop("checked_out", DUE),
        moved=("available", "checked_out"),
        details=details.checked_out(replace(_CHECKOUT, checked_out_at=NOW)),
    ),
    EventName.CHECKED_IN: Sample(
        asset=replace(LAPTOP, condition="fair"),
        moved=("checked_out", "available"),
        details=details.checked_in(
            replace(_CHECKOUT, due_at=NOW - timedelta(days=2)),
            Return(
                returned_at=NOW,
                was_overdue=True,
                days_overdue=2,
                condition_in="fair",
                return_location=OFFICE,
            ),
        ),
    ),
    EventName.RESERVED: Sample(asset=LAPTOP, details=details.reserved(_WANTED)),
    EventName.RESERVATION_APPROVED: Sample(
        asset=LAPTOP,
        details=details.decided(replace(_WANTED, state="approved"), _DECIDER, NOW),
    ),
    EventName.RESERVATION_REJECTED: Sample(
        asset=LAPTOP,
        details=details.rejected(
            replace(_WANTED, state="rejected"), _DECIDER, NOW, "Needed for the audit that week"
        ),
    ),
}

_CARE: Final = {
    EventName.MAINTENANCE_SCHEDULED: Sample(asset=LAPTOP, details=details.scheduled(_PLAN)),
    EventName.MAINTENANCE_COMPLETED: Sample(
        asset=LAPTOP,
        moved=("maintenance", "available"),
        details=details.completed(_PLAN, _WORK),
    ),
    EventName.TRANSFERRED: Sample(
        asset=replace(LAPTOP, location=STORE),
        details=plain(
            Transfer(
                transfer_id=12,
                from_location=OFFICE,
                to_location=STORE,
                transferred_at=NOW,
                reason="Room is being rebuilt",
                holder=None,
            )
        ),
    ),
}

EVERYDAY: Final = {**_LIFECYCLE, **_HOLDINGS, **_CARE}
