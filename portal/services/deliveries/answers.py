"""What receivers answered, for lists: to what failed, where a success speaks of an error, and who
said what somebody looks for."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select

from portal.engine.answer_words import WORDS, line_with, speaks_of_error
from portal.models.deliveries import Attempt, AttemptBody, AttemptOutcome, Delivery
from portal.services.core.unit_of_work import session
from portal.services.deliveries.log.walk import Check

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


class Said(NamedTuple):
    """The line of an answer in which the words stand; `is_last`: of the last attempt."""

    line: str
    is_last: bool


def has_answer(words: str, among: Sequence[ColumnElement[bool]]) -> Check:
    """Whether an answer to one of its attempts contains the words; `among`: of which attempts."""

    def check(row: Any) -> ColumnElement[bool]:
        said = (
            select(Attempt.id)
            .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
            .where(Attempt.delivery_id == row.id, *_contains(words), *among)
        )
        return and_(row.attempts > 0, said.exists())

    return check


def answers_with(
    words: str, row_ids: Sequence[int], among: Sequence[ColumnElement[bool]]
) -> dict[int, Said]:
    """The newest such answer to each of these, a page of a list at most. Reads only."""
    if not row_ids:
        return {}
    is_last = Attempt.number == Delivery.attempts
    rows = session().execute(
        select(Delivery.id, AttemptBody.response_text, is_last)
        .join(Attempt, Attempt.delivery_id == Delivery.id)
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(Delivery.id.in_(row_ids), *_contains(words), *among)
        .order_by(Attempt.number)
    )
    return {row_id: Said(line_with(words, text), bool(last)) for row_id, text, last in rows}


def _contains(words: str) -> list[ColumnElement[bool]]:
    return [AttemptBody.response_text.icontains(words, autoescape=True)]
