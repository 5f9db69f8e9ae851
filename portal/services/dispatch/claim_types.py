"""What a claim reads, and what it hands to whoever sends.

NamedTuples, as everything of which one is made for each delivery: a frozen dataclass takes several
times as long to make, and a column of a database's row as long to read.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from portal.engine.retry_policy import AttemptKind


class DueDelivery(NamedTuple):
    """A delivery that may be sent now. `was_leased`: whoever had it did not record an end.

    `public_id` as it goes over the wire.
    """

    id: int
    public_id: str
    webhook_id: int
    event_id: int
    event: str
    tries: int
    priority: int
    prior_status: str | None
    was_leased: bool


class Target(NamedTuple):
    """A webhook as it is sent to; its columns of the same names."""

    id: int
    public_id: UUID
    kind: str
    url: str
    url_is_secret: bool
    secret_enc: bytes | None
    old_secret_enc: bytes | None
    old_until: datetime | None
    headers_enc: bytes | None
    throttled: bool
    version: int


class StoredEvent(NamedTuple):
    """An event as it is sent; its columns of the same names."""

    id: int
    body: bytes
    occurred_at: datetime


class Claim(NamedTuple):
    """A delivery that is ours to send until its lease ends. `tries` includes this attempt."""

    delivery_id: int
    public_id: str
    token: UUID
    attempt_id: int
    kind: AttemptKind
    tries: int
    event: str
    occurred_at: datetime
    body: bytes
    webhook: Target
