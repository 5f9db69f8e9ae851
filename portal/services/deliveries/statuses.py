"""Filter the log: statuses as people see them, and how they are stored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.models.deliveries import (
    EARLIER_STATUSES,
    OPEN,
    Delivery,
    DeliveryStatus,
    Priority,
    is_open,
)
from portal.services.outbox.at_rest import UNDELIVERED


class StatusFilter(StrEnum):
    """Statuses that the log can be narrowed to.

    `open`: Queued or Retrying. `undelivered`: those, on hold or failed; tests apart. `attention`:
    the same of the webhooks in trouble (`services/webhooks/backlog.py`).
    """

    ATTENTION = "attention"
    QUEUED = "queued"
    RETRYING = "retrying"
    ON_HOLD = "on_hold"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISMISSED = "dismissed"
    OPEN = "open"
    UNDELIVERED = "undelivered"

    @classmethod
    def _missing_(cls, value: object) -> "StatusFilter | None":
        """Read what addresses, and bulk retries that are under way, called a status earlier."""
        today = EARLIER.get(str(value))
        return cls(today) if today else None


# What was called a status before 0101: the stored ones, and how an open one was shown.
EARLIER: Final[dict[str, str]] = {
    **EARLIER_STATUSES,
    "sending": StatusFilter.OPEN,
    "paused": StatusFilter.OPEN,
    "discarded": DeliveryStatus.DISMISSED,
}


class FailedBetween(NamedTuple):
    """From `since` until just before `until`; None: without that end."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Each part narrows the log further; None (or empty) leaves it alone.

    `reasons` and `codes` (the first and the last) are of the last attempt; `untried`: there was
    none so far. `search` is an asset's tag, or part of its tag, name or serial number, or the
    beginning of a delivery's id; `asset_id` goes before it. `since` and `until` are of being
    stored; `failed`: an attempt failed in that time, whatever became of the delivery; tests
    apart. `answer`: a part of what the receiver wrote back to one of its attempts, or, beside
    `failed`, to one that failed in that time.
    """

    status: StatusFilter | None = None
    webhook: UUID | None = None
    event: EventName | None = None
    asset_id: int | None = None
    search: str = ""
    reasons: tuple[Reason, ...] = ()
    untried: bool = False
    codes: tuple[int, int] | None = None
    delivery: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    failed: FailedBetween | None = None
    answer: str = ""


# A condition on a row, given as the columns of a delivery.
Check = Callable[[Any], ColumnElement[bool]]


def matches(column: Any, value: Any) -> ColumnElement[bool]:
    """Equal to one value, or among several (a tuple, or a query that finds them)."""
    is_one = isinstance(value, int | str)
    is_among: ColumnElement[bool] = column == value if is_one else column.in_(value)
    return is_among


Stored = DeliveryStatus | tuple[DeliveryStatus, ...]


def of_status(status: StatusFilter, now: datetime) -> list[ColumnElement[bool]]:
    """Return what makes a delivery one of this status, as a condition by itself."""
    if status is StatusFilter.OPEN:
        return [is_open()]
    stored, others = stored_as(status, now)
    return [*others, *([matches(Delivery.status, stored)] if stored is not None else [])]


def stored_as(
    status: StatusFilter | None, now: datetime
) -> tuple[Stored | None, list[ColumnElement[bool]]]:
    """Return the stored statuses to scan along, and the conditions that make it what people see."""
    match status:
        case None:
            return None, []
        case StatusFilter.UNDELIVERED | StatusFilter.ATTENTION:
            return UNDELIVERED, [Delivery.priority != Priority.TEST]
        case StatusFilter.OPEN:
            return OPEN, []
        case _:
            return DeliveryStatus(status), []
