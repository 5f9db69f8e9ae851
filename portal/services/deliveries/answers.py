"""Read receivers' responses for lists, and find responses that contain some words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.engine.answer_words import MOST_READ, WORDS, line_with, reports_error
from portal.engine.reasons import Reason, title
from portal.engine.redirects import Redirect
from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import Attempt, AttemptBody, AttemptOutcome, Delivery
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session
from portal.services.deliveries.statuses import Check
from portal.services.webhooks.redirects import redirect_of


def doubtful_among(public_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Return the deliveries that ended in a success that reports an error. Reads only.

    Takes at most a page of a list.
    """
    if not public_ids:
        return frozenset()
    last = and_(Attempt.delivery_id == Delivery.id, Attempt.number == Delivery.attempts)
    said = AttemptBody.response_text
    rows = session().execute(
        select(Delivery.public_id, said, AttemptBody.request_body)
        .join(Attempt, last)
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(
            Delivery.public_id.in_(public_ids),
            Attempt.outcome == AttemptOutcome.DELIVERED,
            # Keeps the texts of the others in the database.
            or_(*(said.icontains(word) for word in WORDS)),
        )
    )
    return frozenset(public_id for public_id, text, post in rows if reports_error(text, post))


class Answer(NamedTuple):
    """The beginning of a response, and the target of a redirect."""

    text: str = ""
    redirect: Redirect | None = None


def answers_of(row_ids: Sequence[int]) -> dict[int, Answer]:
    """Return the response to each delivery's last attempt, if that failed and said something.

    Takes at most a page of a list. Reads only.
    """
    if not row_ids:
        return {}
    last = and_(Attempt.delivery_id == Delivery.id, Attempt.number == Delivery.attempts)
    answer = func.substr(AttemptBody.response_text, 1, MOST_READ)
    rows = session().execute(
        select(Delivery.id, Delivery.public_id, answer, AttemptBody.location, Attempt, Webhook)
        .join(Attempt, last)
        .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.id.in_(row_ids), Attempt.outcome == AttemptOutcome.FAILED)
    )
    found = {
        row_id: Answer(text, redirect_of(attempt, location, webhook, public_id))
        for row_id, public_id, text, location, attempt, webhook in rows
    }
    return {row_id: answer for row_id, answer in found.items() if any(answer)}


class Said(NamedTuple):
    """The line of a response that contains the words. `is_last`: it is of the last attempt."""

    line: str
    is_last: bool


def has_answer(words: str, among: Sequence[ColumnElement[bool]]) -> Check:
    """Return a check for deliveries with a response that contains the words.

    `among`: conditions on its attempt.
    """

    def check(row: Any) -> ColumnElement[bool]:
        answer = (
            select(Attempt.id)
            .join(AttemptBody, AttemptBody.attempt_id == Attempt.id)
            .where(Attempt.delivery_id == row.id, *_contains(words), *among)
        )
        return and_(row.attempts > 0, answer.exists())

    return check


def answers_with(
    words: str, row_ids: Sequence[int], among: Sequence[ColumnElement[bool]]
) -> dict[int, Said]:
    """Return each delivery's newest response that contains the words.

    Takes at most a page of a list. Reads only. `among`: conditions on its attempt.
    """
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


@dataclass(frozen=True, slots=True)
class EarlierReason:
    """The usual reason of failed automatic attempts.

    `count`: the number of attempts that failed for it, including earlier Retries.
    """

    reason: Reason
    code: int | None
    count: int

    @property
    def words(self) -> str:
        """Return text such as "Content not accepted (422)"."""
        return title(self.reason, self.code)


def earlier_reasons(current: Session, row_ids: Sequence[int]) -> dict[int, EarlierReason]:
    """Return the usual reason of each delivery that a failed Retry hides with another reason.

    Takes at most a page of a list.
    """
    if not row_ids:
        return {}
    last = func.max(Attempt.number).label("last")
    rows = current.execute(
        select(Attempt.delivery_id, Attempt.kind, Attempt.reason, Attempt.code, func.count(), last)
        .where(Attempt.delivery_id.in_(row_ids))
        .group_by(Attempt.delivery_id, Attempt.kind, Attempt.reason, Attempt.code)
        .order_by(last)
    )
    newest: dict[int, str] = {}  # only if the last attempt was a Retry that failed
    usual: dict[int, EarlierReason] = {}
    alike: Counter[tuple[int, str]] = Counter()
    for row_id, kind, reason, code, count, _ in rows:
        newest.pop(row_id, None)
        if reason:
            words = title(Reason(reason), code)
            alike[row_id, words] += count
            if kind == AttemptKind.MANUAL:
                newest[row_id] = words
        before = usual.get(row_id)
        if kind == AttemptKind.SCHEDULED and reason and (not before or count >= before.count):
            usual[row_id] = EarlierReason(Reason(reason), code, count)
    # The last Retry has another text, so all attempts with this text came before it.
    return {
        row_id: replace(earlier, count=alike[row_id, earlier.words])
        for row_id, earlier in usual.items()
        if newest.get(row_id, earlier.words) != earlier.words
    }
