"""Filter the delivery log, and map the statuses that people see to the stored ones."""

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
    """Statuses by which the log can be filtered.

    `open`: Queued or Retrying. `failed`: without tests, which fail for good at once. `undelivered`:
    open, on hold, or failed, without tests. `attention`:
    undelivered and of a webhook in trouble (`services/webhooks/backlog.py`).
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
        """Read an earlier name of a status, from an old URL or a bulk retry that still runs."""
        today = EARLIER.get(str(value))
        return cls(today) if today else None


# Names before migration 0101, both stored ones and those shown for open deliveries.
EARLIER: Final[dict[str, str]] = {
    **EARLIER_STATUSES,
    "sending": StatusFilter.OPEN,
    "paused": StatusFilter.OPEN,
    "discarded": DeliveryStatus.DISMISSED,
}


class FailedBetween(NamedTuple):
    """A range from `since` until just before `until`. None leaves that end open."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Filters that each narrow the log further. None or an empty value does not filter.

    `reasons` and `codes` (first and last) are of the last attempt. `untried`: no attempt was made
    so far. `search`: an asset's tag, or part of its tag, name, or serial number, or the beginning
    of a delivery's id. `asset_id` takes precedence over `search`. `since` and `until` limit the
    time of storing. `failed`: an attempt failed in that time, regardless of the delivery's status
    now, tests excluded. `answer`: part of the response to one of its attempts. With `failed`, that
    attempt must also have failed in that time.
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


# Builds a condition on a row from the columns of a delivery.
Check = Callable[[Any], ColumnElement[bool]]


def matches(column: Any, value: Any) -> ColumnElement[bool]:
    """Return the condition that a column equals a value, or is in a tuple or subquery."""
    is_one = isinstance(value, int | str)
    is_among: ColumnElement[bool] = column == value if is_one else column.in_(value)
    return is_among


Stored = DeliveryStatus | tuple[DeliveryStatus, ...]


def of_status(status: StatusFilter, now: datetime) -> list[ColumnElement[bool]]:
    """Return all conditions for a status, including the one on the stored status."""
    if status is StatusFilter.OPEN:
        return [is_open()]
    stored, conditions = stored_as(status, now)
    return [*conditions, *([matches(Delivery.status, stored)] if stored is not None else [])]


def stored_as(
    status: StatusFilter | None, now: datetime
) -> tuple[Stored | None, list[ColumnElement[bool]]]:
    """Return the stored statuses to scan by, and the remaining conditions for this status."""
    match status:
        case None:
            return None, []
        case StatusFilter.UNDELIVERED | StatusFilter.ATTENTION:
            return UNDELIVERED, [Delivery.priority != Priority.TEST]
        case StatusFilter.FAILED:
            return DeliveryStatus.FAILED, [Delivery.priority != Priority.TEST]
        case StatusFilter.OPEN:
            return OPEN, []
        case _:
            return DeliveryStatus(status), []
