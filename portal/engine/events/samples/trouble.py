"""Sample cases of trouble: loss, damage, disposal, and the alerts that time brings."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from portal.engine.events.body import AssetSnapshot, Origin
from portal.engine.events.details import (
    AlertFacts,
    CheckoutOverdue,
    ClosedAssignment,
    Damage,
    Liquidation,
    Loss,
    LowStock,
    MaintenanceDue,
    StaffRef,
    WarrantyClaim,
    WarrantyExpiring,
    alerted,
    plain,
)
from portal.engine.events.names import EventName
from portal.engine.events.samples.assets import (
    BEFORE,
    LAPTOP,
    MAINTENANCE,
    MARIA,
    NOW,
    OFFICE,
    STORE,
    TECHNICIAN,
    THE_CLOCK,
    TONER,
    Sample,
    laptop,
)


def _alert(asset: AssetSnapshot, facts: AlertFacts) -> Sample:
    moved = (asset.status, asset.status)
    return Sample(
        asset=asset,
        moved=moved,
        details=alerted(41, facts),
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
        details=plain(
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
        details=plain(
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
        details=plain(
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
        details=plain(
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

TROUBLE: Final = {**_ENDS, **_ALERTS}
