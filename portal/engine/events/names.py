"""The names of the 21 events and their groups. What they mean is in `catalogue.py`."""

from enum import StrEnum
from typing import Final


class EventName(StrEnum):
    """What stands on the wire; receivers compare it, so that a value is never renamed."""

    CREATED = "asset.created"
    UPDATED = "asset.updated"
    DELETED = "asset.deleted"
    ALLOCATED = "asset.allocated"
    REVOKED = "asset.revoked"
    CHECKED_OUT = "asset.checked_out"
    CHECKED_IN = "asset.checked_in"
    RESERVED = "asset.reserved"
    RESERVATION_APPROVED = "asset.reservation_approved"
    RESERVATION_REJECTED = "asset.reservation_rejected"
    MAINTENANCE_SCHEDULED = "asset.maintenance_scheduled"
    MAINTENANCE_COMPLETED = "asset.maintenance_completed"
    TRANSFERRED = "asset.transferred"
    LOST = "asset.lost"
    BROKEN = "asset.broken"
    WARRANTY = "asset.warranty"
    LIQUIDATED = "asset.liquidated"
    WARRANTY_EXPIRING = "alert.warranty_expiring"
    MAINTENANCE_DUE = "alert.maintenance_due"
    CHECKOUT_OVERDUE = "alert.checkout_overdue"
    LOW_STOCK = "alert.low_stock"


class EventGroup(StrEnum):
    """The groups in which people choose events."""

    LIFECYCLE = "lifecycle"
    ALLOCATION = "allocation"
    CHECKOUT = "checkout"
    RESERVATIONS = "reservations"
    MAINTENANCE = "maintenance"
    LOSS = "loss"
    ALERTS = "alerts"

    @property
    def label(self) -> str:
        """The group in plain words."""
        return _LABELS[self]


_LABELS: Final = {
    EventGroup.LIFECYCLE: "Asset lifecycle",
    EventGroup.ALLOCATION: "Allocation & assignment",
    EventGroup.CHECKOUT: "Check-in / check-out",
    EventGroup.RESERVATIONS: "Reservations",
    EventGroup.MAINTENANCE: "Maintenance & transfers",
    EventGroup.LOSS: "Loss, damage, disposal",
    EventGroup.ALERTS: "Scheduled alerts",
}
