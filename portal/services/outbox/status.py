"""The status of a delivery as people see it."""

from datetime import datetime
from enum import StrEnum

from portal.models.deliveries import OPEN


class ShownStatus(StrEnum):
    """What a person sees. Two are never stored, both open: Sending, with a live lease, and Paused,
    when something else than its own time holds it up (`next_try`)."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    RETRYING = "retrying"
    FAILED = "failed"
    STOPPED = "stopped"
    HELD = "held"
    PAUSED = "paused"


class PausedFor(StrEnum):
    """What a paused delivery waits for: its receiver is left alone, or an older one goes first."""

    RECEIVER = "receiver"
    ORDER = "order"


def shown_status(status: str, lease_until: datetime | None, now: datetime) -> ShownStatus:
    """The status in people's terms, pauses apart. `now`: the database's clock, as for leases."""
    if status in OPEN and lease_until is not None and lease_until > now:
        return ShownStatus.SENDING
    return ShownStatus(status)
