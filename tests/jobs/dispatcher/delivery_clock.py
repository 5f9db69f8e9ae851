"""Helpers that move the clock of deliveries and webhooks and read their rows."""

from datetime import timedelta

from sqlalchemy import update

from jobs.deliver import equip
from portal.database.engine import database_now
from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, Delivery, Lease, Priority
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch import record_results
from portal.services.dispatch.claim import Claim
from portal.services.dispatch.request import Result

SECOND = timedelta(seconds=1)


def deliveries() -> list[Delivery]:
    """Return all deliveries, oldest first."""
    db.session.rollback()
    return db.session.query(Delivery).order_by(Delivery.id).all()


def only_delivery() -> Delivery:
    (delivery,) = deliveries()
    return delivery


def attempts() -> list[Attempt]:
    """Return all attempts, oldest first."""
    db.session.rollback()
    return db.session.query(Attempt).order_by(Attempt.id).all()


def leases() -> list[Lease]:
    """Return all leases by delivery ID."""
    db.session.rollback()
    return db.session.query(Lease).order_by(Lease.delivery_id).all()


def webhook(row_id: int) -> Webhook:
    """Return the webhook's current row."""
    db.session.rollback()
    return db.session.get_one(Webhook, row_id)


def make_due() -> None:
    """Make every open delivery due and end every lease."""
    with writing() as current:
        past = database_now(current.connection()) - SECOND
        current.execute(update(Delivery).values(due_at=past))
        current.execute(update(Lease).values(until=past))


def end_pause() -> None:
    """End the pause of every throttled webhook."""
    with writing() as current:
        past = database_now(current.connection()) - SECOND
        current.execute(update(Webhook).where(Webhook.throttled).values(backoff_until=past))


def ask_for_retry(
    delivery_id: int, name: str = "Ana", priority: Priority = Priority.INTERACTIVE
) -> None:
    """Request a manual retry, or a bulk retry's hand-over."""
    with writing() as current:
        delivery = current.get_one(Delivery, delivery_id)
        delivery.prior_status, delivery.prior_due_at = delivery.status, delivery.due_at
        delivery.status, delivery.priority = "queued", priority
        delivery.due_at, delivery.requested_by = database_now(current.connection()), name


def crash_after_claim() -> None:
    """Claim as a worker that is killed before it records anything."""
    with equip().engine.connect() as connection:
        writer = connection.execution_options(writing=True)
        with writer.begin():
            dispatch_claim.claim(writer, 512)


def claim(places: int = 512) -> list[Claim]:
    """Claim due deliveries as a worker does."""
    with writing() as current:
        return dispatch_claim.claim(current.connection(), places)


def ended(claim: Claim, reason: Reason | None = None) -> Result:
    """Return a worker's result for a claim: a success, or a failure for this reason."""
    return Result(
        claim=claim,
        outcome=Outcome(reason, None if reason else 200),
        phases={"total": 1.0},
        peer=None,
        certificate_ends_at=None,
        request_headers=[],
        response_headers=[],
        response_text="",
        is_truncated=False,
        location=None,
        detail="",
        finished_at=utcnow(),
    )


def write_down(*results: Result) -> None:
    """Record results in one transaction."""
    with writing() as current:
        assert not record_results.record(current.connection(), results, lambda: 0.0)
