"""Giving leases back, so that nobody has to wait for their end."""

from collections.abc import Sequence

from sqlalchemy import Connection

from portal.lib.clock import utcnow
from portal.services.dispatch.claim_types import Claim
from portal.services.outbox import leases


def release(connection: Connection, sent: Sequence[Claim], unsent: Sequence[Claim] = ()) -> bool:
    """Give back leases at a warm shutdown: due at once, counted as nothing.

    What was `sent` may have arrived: of it remains an attempt that was interrupted, and
    `finished_at` tells it from those that a crash cut off. Of the `unsent` remains nothing. True,
    so that it can be told from a database that did not take it.
    """
    leases.take(connection, [(each.delivery_id, each.token) for each in unsent])
    freed = leases.take(connection, [(each.delivery_id, each.token) for each in sent])
    if freed:
        leases.write_interrupted(connection, freed, utcnow())
    return True
