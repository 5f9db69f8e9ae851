"""How the timeline calls what was done, and the fields that only actions change."""

from collections.abc import Mapping
from typing import Final

from portal.delivery.event_names import EventName
from portal.services.legality import Action

# The words, and the colour of the dot.
DONE: Final[Mapping[str, tuple[str, str]]] = {
    Action.CREATE: ("Added to the register", "success"),
    Action.EDIT: ("Changed", "info"),
    Action.DELETE: ("Deleted", "danger"),
    Action.RESTORE: ("Restored", "success"),
    Action.ALLOCATE: ("Allocated", "info"),
    Action.REVOKE: ("Taken back", "success"),
    Action.CHECK_OUT: ("Checked out", "info"),
    Action.CHECK_IN: ("Checked in", "success"),
    Action.CHANGE_DUE_DATE: ("Due date changed", "info"),
    Action.RESERVE: ("Reservation requested", "info"),
    Action.APPROVE_RESERVATION: ("Reservation approved", "success"),
    Action.REJECT_RESERVATION: ("Reservation rejected", "warning"),
    Action.CANCEL_RESERVATION: ("Reservation cancelled", "warning"),
    Action.EXPIRE_RESERVATION: ("Reservation ran out: nobody collected it", "warning"),
    Action.SCHEDULE_MAINTENANCE: ("Maintenance scheduled", "info"),
    Action.START_MAINTENANCE: ("Maintenance started", "warning"),
    Action.COMPLETE_MAINTENANCE: ("Maintenance completed", "success"),
    Action.CANCEL_MAINTENANCE: ("Maintenance cancelled", "warning"),
    Action.TRANSFER: ("Moved to another place", "info"),
    Action.REPORT_LOST: ("Reported lost", "danger"),
    Action.REPORT_BROKEN: ("Reported broken", "danger"),
    Action.SEND_TO_WARRANTY: ("Sent for a warranty claim", "warning"),
    Action.LIQUIDATE: ("Disposed of", "danger"),
    Action.RECEIVE_BACK: ("Received back", "success"),
    Action.REPAIR: ("Repaired", "success"),
    Action.FIND: ("Found", "success"),
    Action.UNDO_LIQUIDATION: ("Disposal undone", "success"),
    Action.RECEIVE_STOCK: ("Stock received", "success"),
    Action.ISSUE_STOCK: ("Stock issued", "info"),
    Action.ADJUST_STOCK: ("Stock counted", "info"),
    EventName.WARRANTY_EXPIRING: ("Alert: the warranty ends soon", "warning"),
    EventName.MAINTENANCE_DUE: ("Alert: maintenance is due", "warning"),
    EventName.CHECKOUT_OVERDUE: ("Alert: not returned in time", "danger"),
    EventName.LOW_STOCK: ("Alert: low stock", "warning"),
}

# What no form changes; the fields that forms change are named as on the form.
MOVED: Final[dict[str, str]] = {"status": "Status", "holder": "With", "due_at": "Due back"}
