"""The types that a claim reads and hands to the sender.

NamedTuples, as everything of which one is made for each delivery: a frozen dataclass takes several
times as long to make, and a column of a database's row as long to read.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, delete, update

from portal.database.engine import AnyRow, database_now
from portal.engine.retry_policy import AttemptKind
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptOutcome, Lease, Priority
from portal.services.outbox import leases


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
        """Return what an attempt made now is."""
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


class LockedWebhook(NamedTuple):
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
    backoff_until: datetime | None

    @property
    def target(self) -> Target:
        """The part of a webhook that is needed to send."""
        return Target._make(self[: len(Target._fields)])


class StoredEvent(NamedTuple):
    """An event as it is sent; its columns of the same names."""

    id: int
    body: bytes
    occurred_at: datetime


# A delivery that is leased now, and its event.
Leased: TypeAlias = tuple[DueDelivery, StoredEvent]


class Quota(NamedTuple):
    """The quota of a webhook for one priority. `cap`: what all dispatchers together may have."""

    webhook: int
    priority: Priority
    places: int
    cap: int
    is_head: bool


class LeaseTerms(NamedTuple):
    """The terms that all leases of one claim share. `now` and `until` by the database's clock."""

    now: datetime
    token: UUID
    until: datetime
    run: UUID | None
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


log = logging.getLogger(__name__)


def release(connection: Connection, sent: Sequence[Claim], unsent: Sequence[Claim] = ()) -> bool:
    """Give back leases at a warm shutdown: due at once, counted as nothing.

    What was `sent` may have arrived: of it remains an attempt that was interrupted, and
    `finished_at` tells it from those that a crash cut off. Of the `unsent` remains nothing. True,
    so that it can be told from a database that did not take it.
    """
    taken = {row.delivery_id for row in _take(connection, unsent)}
    freed = _take(connection, sent)
    if freed:
        leases.write_interrupted(connection, freed, utcnow())
    taken |= {row.delivery_id for row in freed}
    for claim in (*sent, *unsent):
        if claim.delivery_id not in taken:
            _end(connection, claim)
    return True


def release_unknown(connection: Connection, run: UUID, held: Collection[UUID]) -> None:
    """Remove the leases of this run whose tokens it does not hold: they were committed, and it was
    never told, so nothing was sent under them. They are due at once and counted as nothing."""
    mine = delete(Lease).where(Lease.run == run)
    given = connection.execute(mine.where(Lease.token.not_in(held)) if held else mine)
    if given.rowcount:
        log.warning("The answer to a claim was lost. Given back: %s", given.rowcount)


def interrupt(connection: Connection, run: UUID) -> bool:
    """End the leases of this run, whose dispatcher failed: what it sent may have arrived. True, as
    `release`."""
    now = database_now(connection)
    mine = update(Lease).where(Lease.run == run, Lease.until > now)
    connection.execute(mine.values(until=now))
    return True


def _take(connection: Connection, claims: Sequence[Claim]) -> Sequence[AnyRow]:
    return leases.take(connection, [(each.delivery_id, each.token) for each in claims])


def _end(connection: Connection, claim: Claim) -> None:
    """It ran out before it was given back: its attempt has been stored, and nobody is at it."""
    connection.execute(
        update(Attempt)
        .where(
            Attempt.delivery_id == claim.delivery_id,
            Attempt.started_at == claim.started_at,
            Attempt.outcome == AttemptOutcome.INTERRUPTED,
            Attempt.finished_at.is_(None),
        )
        .values(finished_at=utcnow())
    )
