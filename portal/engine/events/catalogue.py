"""The catalog of all events, with their labels in display order."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EventName(StrEnum):
    """Event names on the wire. Receivers compare them, so never rename one."""

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
    LIFECYCLE = "lifecycle"
    ALLOCATION = "allocation"
    CHECKOUT = "checkout"
    RESERVATIONS = "reservations"
    MAINTENANCE = "maintenance"
    LOSS = "loss"
    ALERTS = "alerts"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS: Final = {
    EventGroup.LIFECYCLE: "Asset lifecycle",
    EventGroup.ALLOCATION: "Allocations",
    EventGroup.CHECKOUT: "Check-outs and check-ins",
    EventGroup.RESERVATIONS: "Reservations",
    EventGroup.MAINTENANCE: "Maintenance and transfers",
    EventGroup.LOSS: "Loss, damage, and disposal",
    EventGroup.ALERTS: "Alerts",
}


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event. `value`: its name on the wire. `name`: its label."""

    value: EventName
    name: str
    explanation: str
    group: EventGroup


_LIFECYCLE, _ALLOCATION, _CHECKOUT, _RESERVATIONS, _MAINTENANCE, _LOSS, _ALERTS = EventGroup

# Formatted by hand to read like a table.
# fmt: off
CATALOGUE: Final = (
    EventType(EventName.CREATED, "Asset created",
              "A new asset was added to the register.", _LIFECYCLE),
    EventType(EventName.UPDATED, "Asset changed",
              "An asset’s details changed. The delivery lists the changes.", _LIFECYCLE),
    EventType(EventName.DELETED, "Asset deleted",
              "An asset was deleted from the register.", _LIFECYCLE),
    EventType(EventName.ALLOCATED, "Asset allocated",
              "An asset was allocated to a person without a due date.", _ALLOCATION),
    EventType(EventName.REVOKED, "Allocation revoked",
              "An asset is no longer allocated to a person.", _ALLOCATION),
    EventType(EventName.CHECKED_OUT, "Asset checked out",
              "An asset was checked out until a due date.", _CHECKOUT),
    EventType(EventName.CHECKED_IN, "Asset checked in",
              "A checked-out asset was returned.", _CHECKOUT),
    EventType(EventName.RESERVED, "Reservation requested",
              "Someone requested an asset for a period.", _RESERVATIONS),
    EventType(EventName.RESERVATION_APPROVED, "Reservation approved",
              "A reservation was approved.", _RESERVATIONS),
    EventType(EventName.RESERVATION_REJECTED, "Reservation rejected",
              "A reservation was rejected. The delivery includes the reason.", _RESERVATIONS),
    EventType(EventName.MAINTENANCE_SCHEDULED, "Maintenance scheduled",
              "Maintenance was scheduled for a date.", _MAINTENANCE),
    EventType(EventName.MAINTENANCE_COMPLETED, "Maintenance completed",
              "Maintenance was completed. The delivery includes the result.", _MAINTENANCE),
    EventType(EventName.TRANSFERRED, "Asset transferred",
              "An asset was moved to another location.", _MAINTENANCE),
    EventType(EventName.LOST, "Asset lost",
              "An asset was reported lost.", _LOSS),
    EventType(EventName.BROKEN, "Asset broken",
              "An asset was reported broken.", _LOSS),
    EventType(EventName.WARRANTY, "Sent for warranty repair",
              "An asset was sent away for warranty repair.", _LOSS),
    EventType(EventName.LIQUIDATED, "Asset disposed of",
              "An asset was sold, given away, recycled, scrapped, or written off.", _LOSS),
    EventType(EventName.WARRANTY_EXPIRING, "Warranty ends soon",
              "An asset’s warranty ends within the number of days in the alert settings.", _ALERTS),
    EventType(EventName.MAINTENANCE_DUE, "Maintenance due",
              "Maintenance is late or due within the number of days in the alert settings.",
              _ALERTS),
    EventType(EventName.CHECKOUT_OVERDUE, "Check-out overdue",
              "A checked-out asset wasn’t returned by its due date.", _ALERTS),
    EventType(EventName.LOW_STOCK, "Low stock",
              "A consumable’s quantity is below its threshold.", _ALERTS),
)
# fmt: on

GROUPS: Final = tuple(
    (group, tuple(event for event in CATALOGUE if event.group is group)) for group in EventGroup
)
_BY_VALUE: Final = {event.value: event for event in CATALOGUE}


def event_type(value: str) -> EventType:
    """Return the event with this wire name. Raises ValueError for any other text."""
    return _BY_VALUE[EventName(value)]
