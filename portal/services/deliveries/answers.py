"""Deliveries that count as arrived although the answer's text speaks of an error."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import and_, or_, select

from portal.engine.answer_words import WORDS, speaks_of_error
from portal.models.deliveries import Attempt, AttemptBody, AttemptOutcome, Delivery
from portal.services.core.unit_of_work import session


def doubtful_among(public_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Which of these, a page of a list at most, ended so. Reads only."""
    if not public_ids:
        return frozenset()
    last = and_(Attempt.delivery_id == Delivery.id, Attempt.number == Delivery.attempts)
    said = AttemptBody.response_text
    rows = session().execute(
        select(Delivery.public_id, said)
        .join(Attempt, last)
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(
            Delivery.public_id.in_(public_ids),
            Attempt.outcome == AttemptOutcome.DELIVERED,
            # So that the texts of the others stay in the database.
            or_(*(said.icontains(word) for word in WORDS)),
        )
    )
    return frozenset(public_id for public_id, text in rows if speaks_of_error(text))
