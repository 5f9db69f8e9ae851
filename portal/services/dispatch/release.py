"""Giving leases back, so that nobody has to wait for their end."""

from collections.abc import Sequence

from sqlalchemy import Connection, update

from portal.engine.retry_policy import AttemptKind
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, Delivery
from portal.services.dispatch.claim_types import Claim


def release(claims: Sequence[Claim], connection: Connection) -> bool:
    """Give back leases at a warm shutdown: due at once, counted as nothing.

    `finished_at` tells these attempts from those that a crash cut off. True, so that it can be told
    from a database that did not take it.
    """
    for claim in claims:
        counted = 1 if claim.kind is AttemptKind.SCHEDULED else 0
        connection.execute(
            update(Delivery)
            .where(Delivery.id == claim.delivery_id, Delivery.lease_token == claim.token)
            .values(lease_token=None, lease_until=None, tries=Delivery.tries - counted)
        )
    connection.execute(
        update(Attempt)
        .where(Attempt.id.in_([claim.attempt_id for claim in claims]))
        .values(finished_at=utcnow())
    )
    return True
