"""Filter the log: statuses as people see them, and how they are stored."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.orm import Session

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.models.deliveries import (
    EARLIER_STATUSES,
    OPEN,
    Delivery,
    DeliveryStatus,
    Lease,
    Priority,
    is_open,
)
from portal.models.webhooks import Webhook
from portal.services.outbox.due import (
    is_backing_off,
    is_behind,
    is_where_nothing_arrives,
)


class StatusFilter(StrEnum):
    """Statuses that the log can be narrowed to.

    `open`: Queued or Retrying. `attention`: failed for good, kept because its receiver is in
    trouble, or tried without success, three times or at a receiver that is backing off; tests
    apart. What waits for its turn, or for pace, wants nobody.
    """

    ATTENTION = "attention"
    QUEUED = "queued"
    RETRYING = "retrying"
    ON_HOLD = "on_hold"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISMISSED = "dismissed"
    OPEN = "open"

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


def to_look_at(current: Session, now: datetime, webhook_id: int | None) -> Stored:
    """Return where what needs attention is found. What waits does so only while a receiver is
    backing off: else it may be a million that nobody has to look at."""
    waits = (DeliveryStatus.QUEUED,) if paused_webhooks(current, now, webhook_id) else ()
    return (DeliveryStatus.FAILED, *waits, DeliveryStatus.RETRYING)


def stored_as(
    status: StatusFilter | None, now: datetime
) -> tuple[Stored | None, list[ColumnElement[bool]]]:
    """Return the stored statuses to scan along, and the conditions that make it what people see."""
    match status:
        case None:
            return None, []
        case StatusFilter.ATTENTION:
            return (DeliveryStatus.FAILED, *OPEN), [wants_attention(now)]
        case StatusFilter.OPEN:
            return OPEN, []
        case _:
            return DeliveryStatus(status), []


# So many tries without success want a person's look.
TRIES_BEFORE_A_LOOK: Final = 3


def wants_attention(now: datetime) -> ColumnElement[bool]:
    """Select what a person should look at; see `StatusFilter`.

    Of deliveries that are failed or open. `now`: the database's clock.
    """
    # What failed at a receiver that is backing off is the reason why others wait there.
    enough = or_(Delivery.tries >= TRIES_BEFORE_A_LOOK, is_where_nothing_arrives(now))
    is_retried = Delivery.status == DeliveryStatus.RETRYING
    # A person's Retry of it says by itself what comes of it.
    failing = and_(is_retried, Delivery.prior_status.is_(None), enough, not_(is_behind()))
    open_ones = and_(nobody_sends(now), or_(is_backing_off(now), failing))
    failed = Delivery.status == DeliveryStatus.FAILED
    return and_(Delivery.priority != Priority.TEST, or_(failed, open_ones))


def nobody_sends(now: datetime) -> ColumnElement[bool]:
    """Say `has_no_live_lease` of each row as it is scanned, and in words that PostgreSQL takes
    for nearly always true: it would take half of the rows for leased, and read all of them."""
    live = select(func.count()).where(Lease.delivery_id == Delivery.id, Lease.until > now)
    return func.nullif(live.correlate(Delivery).scalar_subquery(), 1).is_not(None)


def paused_webhooks(current: Session, now: datetime, webhook_id: int | None = None) -> list[int]:
    """Return the row ids of the webhooks that are backing off now; of one, if given."""
    statement = select(Webhook.id).where(Webhook.backoff_until > now)
    if webhook_id is not None:
        statement = statement.where(Webhook.id == webhook_id)
    return list(current.scalars(statement))
