"""The status of a delivery as people see it."""

from datetime import datetime
from enum import StrEnum

from portal.models.deliveries import OPEN


class ShownStatus(StrEnum):
    """What a person sees. Sending is waiting or retrying with a live lease, and never stored."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    RETRYING = "retrying"
    FAILED = "failed"
    STOPPED = "stopped"
    HELD = "held"


def shown_status(status: str, lease_until: datetime | None, now: datetime) -> ShownStatus:
    """The status in people's terms. `now`: the database's clock, by which leases are judged."""
    if status in OPEN and lease_until is not None and lease_until > now:
        return ShownStatus.SENDING
    return ShownStatus(status)
