"""Moving the clock of deliveries and webhooks, and looking at them, for tests of the dispatcher."""

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
    """All deliveries, oldest first, as they are now."""
    db.session.rollback()
    return db.session.query(Delivery).order_by(Delivery.id).all()


def only_delivery() -> Delivery:
    """The one delivery there is."""
    (delivery,) = deliveries()
    return delivery


def attempts() -> list[Attempt]:
    """All attempts, oldest first."""
    db.session.rollback()
    return db.session.query(Attempt).order_by(Attempt.id).all()


def leases() -> list[Lease]:
    """All leases, by their deliveries."""
    db.session.rollback()
    return db.session.query(Lease).order_by(Lease.delivery_id).all()


def webhook(row_id: int) -> Webhook:
    """The webhook as it is now."""
    db.session.rollback()
    return db.session.get_one(Webhook, row_id)


def make_due() -> None:
    """The clock moves on until everything open is due and every lease has run out."""
    with writing() as current:
        past = database_now(current.connection()) - SECOND
        current.execute(update(Delivery).values(due_at=past))
        current.execute(update(Lease).values(until=past))


def end_pause() -> None:
    """The clock moves on until every throttled webhook may be probed."""
    with writing() as current:
        past = database_now(current.connection()) - SECOND
        current.execute(update(Webhook).where(Webhook.throttled).values(backoff_until=past))


def ask_for_retry(
    delivery_id: int, name: str = "Ana", priority: Priority = Priority.INTERACTIVE
) -> None:
    """A person presses Retry, or a bulk retry hands it over."""
    with writing() as current:
        delivery = current.get_one(Delivery, delivery_id)
        delivery.prior_status, delivery.prior_due_at = delivery.status, delivery.due_at
        delivery.status, delivery.priority = "queued", priority
        delivery.due_at, delivery.requested_by = database_now(current.connection()), name


def crash_after_claim() -> None:
    """A worker claims and is killed before it records anything."""
    with equip().engine.connect() as connection:
        writer = connection.execution_options(writing=True)
        with writer.begin():
            dispatch_claim.claim(writer, 512)


def claim(places: int = 512) -> list[Claim]:
    """A worker claims what is due."""
    with writing() as current:
        return dispatch_claim.claim(current.connection(), places)


def ended(claim: Claim, reason: Reason | None = None) -> Result:
    """What a worker has to write down of a claim: a success, or a failure for this reason."""
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
    """A worker records them, in one transaction."""
    with writing() as current:
        assert not record_results.record(current.connection(), results, lambda: 0.0)
