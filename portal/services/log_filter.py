"""What the log is asked for: a status as people see it, and whatever else narrows it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from portal.delivery.events import EventName
from portal.delivery.reason_keys import Reason
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


class StatusFilter(StrEnum):
    """What the log can be narrowed to; `attention` is Failed without the tests."""

    ATTENTION = "attention"
    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    RETRYING = "retrying"
    FAILED = "failed"
    STOPPED = "stopped"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Each part narrows the log further; None (or empty) leaves it alone.

    `reasons` and `code` are of the last attempt. `search` is an asset's tag, or part of its tag or
    name; `asset_id` goes before it. Times are of being stored.
    """

    status: StatusFilter | None = None
    webhook: UUID | None = None
    event: EventName | None = None
    asset_id: int | None = None
    search: str = ""
    reasons: tuple[Reason, ...] = ()
    code: int | None = None
    delivery: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def shown_status(status: str, lease_until: datetime | None, now: datetime) -> ShownStatus:
    """The status in people's terms. `now`: the database's clock, by which leases are judged."""
    if status in OPEN and lease_until is not None and lease_until > now:
        return ShownStatus.SENDING
    return ShownStatus(status)
