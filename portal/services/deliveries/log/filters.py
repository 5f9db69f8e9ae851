"""What the log is asked for: a status as people see it, and whatever else narrows it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from portal.engine.events.catalogue import EventName
from portal.engine.reason_keys import Reason


class StatusFilter(StrEnum):
    """What the log can be narrowed to.

    `attention`: failed for good, paused because its receiver is in trouble, or tried without
    success, three times or at a receiver that is left alone; tests apart, and what a person has
    dismissed after it failed. What waits for its turn, or for pace, wants nobody. `dismissed`:
    failed for good, and a person has dismissed it, by itself or with others.
    """

    ATTENTION = "attention"
    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    RETRYING = "retrying"
    FAILED = "failed"
    PAUSED = "paused"
    STOPPED = "stopped"
    HELD = "held"
    DISMISSED = "dismissed"


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
