"""The rule that every fault ends with: what was accepted was received, or is visibly not."""

from collections import Counter

from sqlalchemy import select

from portal.extensions import db
from portal.models.deliveries import OPEN, Attempt, Delivery
from tests.jobs.processes import until
from tests.receiver import Receiver


def settled(seconds: float) -> bool:
    """Whether nothing is open any more, in time."""

    def nothing_open() -> bool:
        db.session.rollback()
        wanted = select(Delivery.id).where(Delivery.status.in_(OPEN)).limit(1)
        return db.session.execute(wanted).first() is None

    return until(nothing_open, seconds)


def assert_ledger(receiver: Receiver, accepted: int) -> None:
    """Accepted is received, or visibly failed, stopped or held; a repeat has its explanation."""
    db.session.rollback()
    received = Counter(each.header("X-Asset-Webhook-Id") for each in receiver.received)
    deliveries = db.session.execute(select(Delivery)).scalars().all()
    assert len(deliveries) == accepted
    for delivery in deliveries:
        arrived = received.pop(str(delivery.public_id), 0)
        if delivery.status == "delivered":
            assert arrived >= 1, "the log says Delivered, the receiver says no"
        else:
            assert delivery.status in {"failed", "stopped", "held"}, delivery.status
        assert arrived - 1 <= explained_repeats(delivery.id)
    assert not received, "the receiver got what nobody accepted"


def explained_repeats(delivery_id: int) -> int:
    """How often a receiver may get this delivery beyond the first time."""
    attempts = select(Attempt.outcome, Attempt.kind).where(Attempt.delivery_id == delivery_id)
    return sum(
        outcome == "interrupted" or kind == "manual"
        for outcome, kind in db.session.execute(attempts)
    )
