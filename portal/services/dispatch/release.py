"""Giving leases back, so that nobody has to wait for their end."""

import logging
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection, delete, update

from portal.database.engine import AnyRow, database_now
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptOutcome, Lease
from portal.services.dispatch.claim_types import Claim
from portal.services.outbox import leases

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


def give_back_unknown(connection: Connection, run: UUID, held: Collection[UUID]) -> None:
    """Remove the leases of this run whose tokens it does not hold: they were committed, and it was
    never told, so nothing was sent under them. They are due at once and counted as nothing."""
    mine = delete(Lease).where(Lease.run == run)
    given = connection.execute(mine.where(Lease.token.not_in(held)) if held else mine)
    if given.rowcount:
        log.warning("The answer to a claim was lost. Given back: %s", given.rowcount)


def interrupt(connection: Connection, run: UUID) -> bool:
    """End the leases of this run, whose pump failed: what it sent may have arrived. True, as
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
