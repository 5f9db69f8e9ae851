"""Giving leases back, so that nobody has to wait for their end."""

from collections.abc import Sequence

from sqlalchemy import Connection, update

from portal.database.engine import AnyRow
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptOutcome
from portal.services.dispatch.claim_types import Claim
from portal.services.outbox import leases


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
