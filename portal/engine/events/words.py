"""Labels on pages and in posts for the values that webhooks send."""

from collections.abc import Mapping
from typing import Final

from portal.engine.events.details import UpdateReason

METHODS: Final[Mapping[str, str]] = {
    "sold": "Sold",
    "donated": "Donated",
    "recycled": "Recycled",
    "scrapped": "Scrapped",
    "written_off": "Written off",
}
MAINTENANCE_TYPES: Final[Mapping[str, str]] = {
    "preventive": "Routine maintenance",
    "corrective": "Repair",
    "inspection": "Inspection",
    "calibration": "Calibration",
    "upgrade": "Upgrade",
}
OUTCOMES: Final[Mapping[str, str]] = {
    "ok": "No issues found",
    "repaired": "Repaired",
    "failed": "Couldn’t be repaired",
}
# The labels of an asset's timeline. An edit has none because it is shown by its changes.
REASONS: Final[Mapping[str, str]] = {
    UpdateReason.MAINTENANCE_STARTED: "Maintenance started",
    UpdateReason.MAINTENANCE_CANCELLED: "Maintenance canceled",
    UpdateReason.WARRANTY_RETURNED: "Received back",
    UpdateReason.REPAIRED: "Repaired",
    UpdateReason.FOUND: "Found",
    UpdateReason.RESTORED: "Restored",
    UpdateReason.LIQUIDATION_UNDONE: "Disposal undone",
    UpdateReason.RESERVATION_CANCELLED: "Reservation canceled",
    UpdateReason.RESERVATION_EXPIRED: "Reservation expired",
    UpdateReason.DUE_DATE_CHANGED: "Due date changed",
    UpdateReason.STOCK_RECEIVED: "Stock received",
    UpdateReason.STOCK_ISSUED: "Stock issued",
    UpdateReason.STOCK_ADJUSTED: "Stock counted",
}
