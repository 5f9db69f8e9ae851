"""The catalogue: every event there is, in the words and the order that people see."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EventName(StrEnum):
    """The names on the wire; receivers compare them, so that none is ever renamed."""

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
    EventGroup.ALLOCATION: "Allocation & assignment",
    EventGroup.CHECKOUT: "Check-in/check-out",
    EventGroup.RESERVATIONS: "Reservations",
    EventGroup.MAINTENANCE: "Maintenance & transfers",
    EventGroup.LOSS: "Loss, damage, disposal",
    EventGroup.ALERTS: "Alerts",
}


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event: its name on the wire, and what people call it."""

    value: EventName
    name: str
    explanation: str
    group: EventGroup


_LIFECYCLE, _ALLOCATION, _CHECKOUT, _RESERVATIONS, _MAINTENANCE, _LOSS, _ALERTS = EventGroup

# Kept narrow by hand, so that it reads as the table it is.
# fmt: off
CATALOGUE: Final = (
    EventType(EventName.CREATED, "Asset created",
              "A new asset was added to the register.", _LIFECYCLE),
    EventType(EventName.UPDATED, "Asset changed",
              "Something about an asset was changed; the delivery says what.", _LIFECYCLE),
    EventType(EventName.DELETED, "Asset deleted",
              "An asset was taken out of the register.", _LIFECYCLE),
    EventType(EventName.ALLOCATED, "Asset allocated",
              "An asset was given to a member of staff.", _ALLOCATION),
    EventType(EventName.REVOKED, "Allocation taken back",
              "An asset was taken back from a member of staff.", _ALLOCATION),
    EventType(EventName.CHECKED_OUT, "Asset checked out",
              "An asset was lent until an agreed time.", _CHECKOUT),
    EventType(EventName.CHECKED_IN, "Asset checked in",
              "A lent asset was returned.", _CHECKOUT),
    EventType(EventName.RESERVED, "Reservation requested",
              "Somebody asked to have an asset for a time.", _RESERVATIONS),
    EventType(EventName.RESERVATION_APPROVED, "Reservation approved",
              "A reservation was agreed to.", _RESERVATIONS),
    EventType(EventName.RESERVATION_REJECTED, "Reservation rejected",
              "A reservation was turned down; the delivery says why.", _RESERVATIONS),
    EventType(EventName.MAINTENANCE_SCHEDULED, "Maintenance scheduled",
              "Maintenance was planned for a day.", _MAINTENANCE),
    EventType(EventName.MAINTENANCE_COMPLETED, "Maintenance completed",
              "Maintenance was done; the delivery says how it ended.", _MAINTENANCE),
    EventType(EventName.TRANSFERRED, "Asset transferred",
              "An asset was moved to another location.", _MAINTENANCE),
    EventType(EventName.LOST, "Asset lost",
              "An asset was reported lost.", _LOSS),
    EventType(EventName.BROKEN, "Asset broken",
              "An asset was reported broken.", _LOSS),
    EventType(EventName.WARRANTY, "Sent for warranty",
              "An asset was sent to its supplier under warranty.", _LOSS),
    EventType(EventName.LIQUIDATED, "Asset disposed of",
              "An asset was sold, given away, recycled, scrapped or written off.", _LOSS),
    EventType(EventName.WARRANTY_EXPIRING, "Warranty ends soon",
              "The warranty of an asset ends within the days set for alerts.", _ALERTS),
    EventType(EventName.MAINTENANCE_DUE, "Maintenance due",
              "Planned maintenance is due within the days set for alerts, or is late.", _ALERTS),
    EventType(EventName.CHECKOUT_OVERDUE, "Check-out overdue",
              "A lent asset was not returned in time.", _ALERTS),
    EventType(EventName.LOW_STOCK, "Low stock",
              "There is less of a consumable than its threshold.", _ALERTS),
)
# fmt: on

GROUPS: Final = tuple(
    (group, tuple(event for event in CATALOGUE if event.group is group)) for group in EventGroup
)
_BY_VALUE: Final = {event.value: event for event in CATALOGUE}


def event_type(value: str) -> EventType:
    """Return the event with this name on the wire. Raises ValueError for any other text."""
    return _BY_VALUE[EventName(value)]
