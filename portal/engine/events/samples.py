"""An example of every event, with fixed people, places, and assets.

The serializer is the same as for real events.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from portal.engine.events import details
from portal.engine.events.body import (
    Actor,
    ActorKind,
    AssetSnapshot,
    Holder,
    Origin,
    Ref,
    build_body,
    event_data,
)
from portal.engine.events.catalogue import EventName
from portal.engine.events.details import (
    AlertFacts,
    Allocation,
    Checkout,
    CheckoutOverdue,
    ClosedAssignment,
    Damage,
    Liquidation,
    Loss,
    LowStock,
    MaintenanceDue,
    PlanFacts,
    ReservationFacts,
    Return,
    Revocation,
    StaffRef,
    Transfer,
    UpdateReason,
    WarrantyClaim,
    WarrantyExpiring,
    WorkFacts,
    data_of,
)

SOURCE: Final = "perfex_assets_module"
NOW: Final = datetime(2025, 2, 4, 12, 0, tzinfo=UTC)
BEFORE: Final = datetime(2025, 1, 20, 8, 30, tzinfo=UTC)
DUE: Final = datetime(2025, 2, 7, 16, 0, tzinfo=UTC)

ANA: Final = Actor(ActorKind.USER, 2, "Ana Novak")
THE_CLOCK: Final = Actor(ActorKind.SYSTEM, None, "Asset register")

MARIA: Final[dict[str, Any]] = {
    "id": 17,
    "name": "Maria Lopez",
    "email": "maria.lopez@example.com",
}
TECHNICIAN: Final = Ref(9, "Jonas Berg")
OFFICE: Final = Ref(3, "Head office, room 204")
STORE: Final = Ref(5, "Central store")

LAPTOP: Final = AssetSnapshot(
    id=123,
    asset_tag="AST-00123",
    name="ThinkPad T14",
    kind="item",
    category=Ref(1, "Laptops"),
    manufacturer="Lenovo",
    model="T14 Gen 4",
    serial_number="PF4X9Z2K",
    status="available",
    condition="good",
    location=OFFICE,
    supplier="Northwind IT",
    order_number="PO-2024-0117",
    purchase_date=date(2024, 2, 26),
    purchase_cost=Decimal("1249.00"),
    currency="EUR",
    warranty_expires=date(2025, 2, 26),
    version=4,
    created_at=datetime(2024, 2, 28, 9, 15, tzinfo=UTC),
    updated_at=NOW,
)
TONER: Final = AssetSnapshot(
    id=208,
    asset_tag="AST-00208",
    name="Toner cartridge, black",
    kind="stock",
    category=Ref(4, "Printer supplies"),
    manufacturer="Brother",
    model="TN-2420",
    status="available",
    condition="excellent",
    location=STORE,
    supplier="Northwind IT",
    currency="EUR",
    quantity=3,
    min_quantity=5,
    unit="piece",
    version=12,
    created_at=datetime(2024, 3, 4, 10, 0, tzinfo=UTC),
    updated_at=NOW,
)
MAINTENANCE: Final[dict[str, Any]] = {
    "maintenance_id": 77,
    "title": "Yearly battery check",
    "type": "inspection",
    "due_on": date(2025, 2, 10),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One example. `moved`: the status before and after. `details`: the event's part of `data`."""

    asset: AssetSnapshot
    moved: tuple[str | None, str | None] = ("available", "available")
    details: Mapping[str, object]
    note: str = ""
    actor: Actor = ANA
    origin: Origin = Origin.UI


def laptop(status: str, due_at: datetime | None = None) -> AssetSnapshot:
    """Return the laptop in another status, with Maria if that status has a holder."""
    held = status in {"allocated", "checked_out"}
    return replace(LAPTOP, status=status, holder=Holder(**MARIA, due_at=due_at) if held else None)


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
        details=data_of(replace(_ALLOCATION, allocated_at=NOW)),
        note="With charger and bag",
    ),
    EventName.REVOKED: Sample(
        asset=replace(LAPTOP, location=STORE),
        moved=("allocated", "available"),
        details=data_of(
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
        details=data_of(replace(_CHECKOUT, checked_out_at=NOW)),
    ),
    EventName.CHECKED_IN: Sample(
        asset=replace(LAPTOP, condition="fair"),
        moved=("checked_out", "available"),
        details=data_of(
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
    EventName.RESERVED: Sample(asset=LAPTOP, details=data_of(_WANTED)),
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
    EventName.MAINTENANCE_SCHEDULED: Sample(asset=LAPTOP, details=data_of(_PLAN)),
    EventName.MAINTENANCE_COMPLETED: Sample(
        asset=LAPTOP,
        moved=("maintenance", "available"),
        details=data_of(_PLAN, _WORK),
    ),
    EventName.TRANSFERRED: Sample(
        asset=replace(LAPTOP, location=STORE),
        details=data_of(
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


def _alert(asset: AssetSnapshot, facts: AlertFacts) -> Sample:
    moved = (asset.status, asset.status)
    return Sample(
        asset=asset,
        moved=moved,
        details=details.alerted(41, facts),
        actor=THE_CLOCK,
        origin=Origin.CRON,
    )


_ENDED_BY_IT: Final[dict[str, Any]] = {
    "previous_holder": StaffRef(**MARIA),
    "closed_assignment": ClosedAssignment(31, "allocation"),
}

_ENDS: Final = {
    EventName.LOST: Sample(
        asset=laptop("lost"),
        moved=("allocated", "lost"),
        details=data_of(
            Loss(
                incident_id=6,
                lost_at=NOW,
                description="Left on the train to Graz",
                last_location=OFFICE,
                **_ENDED_BY_IT,
                under_warranty=True,
                cancelled_reservation_ids=[58],
                cancelled_maintenance_ids=[],
            )
        ),
    ),
    EventName.BROKEN: Sample(
        asset=replace(laptop("broken"), condition="damaged"),
        moved=("allocated", "broken"),
        details=data_of(
            Damage(
                incident_id=7,
                broken_at=NOW,
                description="The screen is cracked",
                last_location=OFFICE,
                **_ENDED_BY_IT,
                under_warranty=True,
            )
        ),
    ),
    EventName.WARRANTY: Sample(
        asset=replace(laptop("warranty"), condition="damaged"),
        moved=("broken", "warranty"),
        details=data_of(
            WarrantyClaim(
                claim_id=4,
                sent_at=NOW,
                supplier="Northwind IT",
                rma_number="RMA-8841",
                expected_back_on=date(2025, 2, 18),
                problem="The screen is cracked",
                under_warranty=True,
                previous_holder=None,
                closed_assignment=None,
            )
        ),
    ),
    EventName.LIQUIDATED: Sample(
        asset=laptop("liquidated"),
        moved=("available", "liquidated"),
        details=data_of(
            Liquidation(
                liquidation_id=3,
                liquidated_at=NOW,
                method="sold",
                proceeds=Decimal(180),
                currency="EUR",
                recipient="Second Life Computers",
                purchase_cost=LAPTOP.purchase_cost,
                cancelled_reservation_ids=[58],
                cancelled_maintenance_ids=[],
            )
        ),
    ),
}

_ALERTS: Final = {
    EventName.WARRANTY_EXPIRING: _alert(
        LAPTOP,
        WarrantyExpiring(
            warranty_expires=date(2025, 2, 26),
            days_left=22,
            threshold_days=30,
            supplier=LAPTOP.supplier,
            holder=None,
        ),
    ),
    EventName.MAINTENANCE_DUE: _alert(
        LAPTOP,
        MaintenanceDue(
            **MAINTENANCE,
            days_left=6,
            overdue=False,
            threshold_days=7,
            assignee=TECHNICIAN,
        ),
    ),
    EventName.CHECKOUT_OVERDUE: _alert(
        laptop("checked_out", NOW - timedelta(days=3)),
        CheckoutOverdue(
            checkout_id=32,
            staff=StaffRef(**MARIA),
            checked_out_at=BEFORE,
            due_at=NOW - timedelta(days=3),
            days_overdue=3,
            reminder_no=1,
        ),
    ),
    EventName.LOW_STOCK: _alert(
        TONER,
        LowStock(
            quantity=3,
            min_quantity=5,
            unit="piece",
            shortfall=2,
            location=STORE,
            last_move={"id": 90, "type": "issue", "delta": -4, "balance_after": 3, "moved_at": NOW},
        ),
    ),
}

SAMPLES: Final[Mapping[EventName, Sample]] = {
    **_LIFECYCLE,
    **_HOLDINGS,
    **_CARE,
    **_ENDS,
    **_ALERTS,
}


def sample_body(
    event: EventName, *, occurred_at: datetime = NOW, source: str = SOURCE, test: bool = False
) -> bytes:
    """Return an example body. A test has `"test": true` at the end of `data`."""
    sample = SAMPLES[event]
    marked = {**sample.details, "test": True} if test else sample.details
    status_from, status_to = sample.moved
    return build_body(
        event,
        occurred_at=occurred_at,
        source=source,
        asset_id=None if event is EventName.DELETED else sample.asset.id,
        asset=sample.asset,
        data=event_data(
            sample.actor,
            sample.origin,
            status_from=status_from,
            status_to=status_to,
            note=sample.note,
            **marked,
        ),
    )


def sample_message(event: EventName, *, source: str = SOURCE, test: bool = False) -> dict[str, Any]:
    """Return an example body, parsed from the bytes that a receiver would get."""
    body: dict[str, Any] = json.loads(sample_body(event, source=source, test=test))
    return body
