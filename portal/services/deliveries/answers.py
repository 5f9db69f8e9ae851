"""What receivers answered, for lists: to what failed, and where a success speaks of an error."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select

from portal.engine.answer_words import WORDS, speaks_of_error
from portal.models.deliveries import Attempt, AttemptBody, AttemptOutcome, Delivery
from portal.services.core.unit_of_work import session

MOST_SAID: Final = 300  # characters


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


def answers_of(row_ids: Sequence[int]) -> dict[int, str]:
    """How the text begins that came back to the last attempt of these, where that failed. A page
    of a list at most. Reads only."""
    if not row_ids:
        return {}
    last = and_(Attempt.delivery_id == Delivery.id, Attempt.number == Delivery.attempts)
    said = func.substr(AttemptBody.response_text, 1, MOST_SAID)
    rows = session().execute(
        select(Delivery.id, said)
        .join(Attempt, last)
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(Delivery.id.in_(row_ids), Attempt.outcome == AttemptOutcome.FAILED)
    )
    return {row_id: text for row_id, text in rows if text}
