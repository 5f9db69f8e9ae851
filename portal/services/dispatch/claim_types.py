"""What a claim reads, and what it hands to whoever sends.

NamedTuples, as everything of which one is made for each delivery: a frozen dataclass takes several
times as long to make, and a column of a database's row as long to read.
"""

from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import Priority


class DueDelivery(NamedTuple):
    """A delivery that may be sent now. `free`: how many of its kind its webhook may have.

    `public_id` as it goes over the wire; `attempts`: those that have ended.
    """

    id: int
    public_id: str
    webhook_id: int
    event_id: int
    event: str
    tries: int
    attempts: int
    priority: int
    prior_status: str | None
    requested_by: str | None
    free: int

    @property
    def kind(self) -> AttemptKind:
        """What an attempt made now is."""
        if self.priority == Priority.TEST:
            return AttemptKind.TEST
        return AttemptKind.MANUAL if self.prior_status else AttemptKind.SCHEDULED


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


class Locked(NamedTuple):
    """A webhook while a claim holds its row: a `Target`, and what decides what it may have now."""

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
    state: str
    deleted_at: datetime | None
    in_order: bool
    not_before: datetime | None

    @property
    def target(self) -> Target:
        """What of it is needed to send."""
        return Target._make(self[: len(Target._fields)])


class StoredEvent(NamedTuple):
    """An event as it is sent; its columns of the same names."""

    id: int
    body: bytes
    occurred_at: datetime


# A delivery that is leased now, and its event.
Leased: TypeAlias = tuple[DueDelivery, StoredEvent]


class Portion(NamedTuple):
    """What a webhook may have of one priority. `cap`: what all pumps together may have."""

    webhook: int
    priority: Priority
    places: int
    cap: int
    is_head: bool


class Terms(NamedTuple):
    """What all leases of one claim have alike. `now` and `until` by the database's clock."""

    now: datetime
    token: UUID
    until: datetime
    run: UUID
    started: datetime

    @property
    def given(self) -> dict[str, Any]:
        """As the statements that lease are given them."""
        names = ("token", "until", "run", "started")
        return {name: getattr(self, name) for name in names}


class Claim(NamedTuple):
    """A delivery that is ours to send until its lease ends. `tries` includes this attempt.

    `number`, `actor`, `started_at`, `shown_url`: what will be stored of the attempt. It is known
    again by `started_at`.
    """

    delivery_id: int
    public_id: str
    token: UUID
    number: int
    started_at: datetime
    kind: AttemptKind
    actor: str | None
    tries: int
    event: str
    occurred_at: datetime
    body: bytes
    webhook: Target
    shown_url: str
