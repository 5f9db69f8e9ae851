"""Deliveries of which an attempt failed in some time, whatever became of them.

Their attempts are found in a partial index. Of few the ids are told; where there are more, the log
is walked and each delivery asked: then so many match that a page is soon full.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.models.deliveries import Attempt, AttemptBody, DeliveryStatus, is_failed_attempt
from portal.services.deliveries.answers import MOST_SAID
from portal.services.deliveries.log.filters import FailedBetween
from portal.services.deliveries.log.walk import Check

MOST_ATTEMPTS: Final = 10_000
MOST_TOLD: Final = 2_000


class Failure(NamedTuple):
    """An attempt that failed in the time that was asked for; `said`: how the answer begins."""

    at: datetime
    reason: str | None
    code: int | None
    said: str


def few(current: Session, wanted: FailedBetween) -> tuple[int, ...] | None:
    """The row ids of the deliveries; None: more than can be told."""
    found = current.scalars(failed_attempts(wanted)).all()
    ids = tuple(set(found))
    return ids if len(found) <= MOST_ATTEMPTS and len(ids) <= MOST_TOLD else None


def failed_attempts(wanted: FailedBetween) -> Select[int]:
    """Whose attempts failed, the last first: one more than is told."""
    return (
        select(Attempt.delivery_id)
        .where(*failed_between(wanted))
        .order_by(Attempt.finished_at.desc())
        .limit(MOST_ATTEMPTS + 1)
    )


def has_failed_between(wanted: FailedBetween) -> Check:
    """The same, asked of each delivery that is read."""

    def check(row: Any) -> ColumnElement[bool]:
        # What arrived at once is most of a log, and has no other attempt to look for.
        arrived = and_(row.status == DeliveryStatus.DELIVERED, row.reason.is_(None))
        may_have = and_(row.attempts > 0, or_(row.attempts > 1, ~arrived))
        failed = select(Attempt.id).where(Attempt.delivery_id == row.id, *failed_between(wanted))
        return and_(may_have, failed.exists())

    return check


def failed_between(wanted: FailedBetween | None) -> list[ColumnElement[bool]]:
    """What makes an attempt one that failed in that time; nothing where none is asked for."""
    return [is_failed_attempt(), *_times(wanted)] if wanted else []


def last_failures(
    current: Session, wanted: FailedBetween, ids: Sequence[int]
) -> dict[int, Failure]:
    """The last attempt of each of these deliveries that failed in that time."""
    if not ids:
        return {}
    said = func.substr(AttemptBody.response_text, 1, MOST_SAID)
    found = (
        select(Attempt.delivery_id, Attempt.finished_at, Attempt.reason, Attempt.code, said)
        .outerjoin(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(Attempt.delivery_id.in_(ids), *failed_between(wanted))
        .order_by(Attempt.delivery_id, Attempt.number)
    )
    rows = current.execute(found)
    return {
        row_id: Failure(at, why, code, text or "") for row_id, at, why, code, text in rows if at
    }


def _times(wanted: FailedBetween) -> list[ColumnElement[bool]]:
    since = [Attempt.finished_at >= wanted.since] if wanted.since else []
    until = [Attempt.finished_at < wanted.until] if wanted.until else []
    return [*since, *until]
