"""Results that come without a lease: late, again, or after the database has lost it.

Few, so each is looked at by itself.
"""

from sqlalchemy import Connection, select, update

from portal.database.engine import AnyRow
from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import OPEN, Attempt, AttemptOutcome, Delivery, Lease
from portal.services.dispatch import attempts
from portal.services.dispatch.results import Result


def is_settled(connection: Connection, result: Result) -> bool:
    """Store what the result says of its attempt alone. False: it decides about its delivery, and
    nothing of it is stored yet.

    The webhook's row is locked. May run twice: what is stored already stays as it is.
    """
    claim = result.claim
    wanted = select(Delivery.status, Delivery.attempts, Delivery.prior_status)
    found = wanted.where(Delivery.id == claim.delivery_id).with_for_update()
    delivery = connection.execute(found).one_or_none()
    if delivery is None:  # it is no longer kept
        return True
    if (attempt := _own_attempt(connection, result)) is not None:
        # Its lease ran out, and others went on. If it has an end, this batch is written again:
        # the answer to its commit was lost.
        if attempt.outcome == AttemptOutcome.INTERRUPTED and attempt.finished_at is None:
            attempts.complete(connection, result, attempt.id)
        return True
    if _is_next(connection, result, delivery):
        return False
    number = delivery.attempts + 1
    attempts.write_attempts(connection, [(result, number)])
    counted = update(Delivery).where(Delivery.id == claim.delivery_id)
    connection.execute(counted.values(attempts=number))
    return True


def _own_attempt(connection: Connection, result: Result) -> AnyRow | None:
    """What is stored of it: nobody else began an attempt of this delivery at that moment."""
    claim = result.claim
    wanted = select(Attempt.id, Attempt.outcome, Attempt.finished_at).where(
        Attempt.delivery_id == claim.delivery_id, Attempt.started_at == claim.started_at
    )
    return connection.execute(wanted).one_or_none()


def _is_next(connection: Connection, result: Result, delivery: AnyRow) -> bool:
    """Whether nothing has happened to the delivery since it was claimed: its lease went with a
    crash of the database."""
    claim = result.claim
    is_persons = claim.kind is AttemptKind.MANUAL
    if delivery.status not in OPEN or is_persons != (delivery.prior_status is not None):
        return False
    if delivery.attempts != claim.number - 1:
        return False
    lease = select(Lease.delivery_id).where(Lease.delivery_id == claim.delivery_id)
    return connection.execute(lease).one_or_none() is None
