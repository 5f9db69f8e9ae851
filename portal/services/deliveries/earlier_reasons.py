"""Why deliveries failed again and again before a person's Retry failed for another reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine.reasons import Reason, title
from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import Attempt, AttemptOutcome


@dataclass(frozen=True, slots=True)
class EarlierReason:
    """The usual reason of the planned attempts, and how many failed so, earlier Retries too."""

    reason: Reason
    code: int | None
    count: int

    @property
    def words(self) -> str:
        """ "Content not accepted (422)"."""
        return title(self.reason, self.code)


def earlier_reasons(current: Session, row_ids: Sequence[int]) -> dict[int, EarlierReason]:
    """Of those of these deliveries that a Retry hides it of. A page of a list at most."""
    if not row_ids:
        return {}
    last = func.max(Attempt.number).label("last")
    rows = current.execute(
        select(Attempt.delivery_id, Attempt.kind, Attempt.reason, Attempt.code, func.count(), last)
        .where(Attempt.delivery_id.in_(row_ids), Attempt.outcome != AttemptOutcome.UNREACHED)
        .group_by(Attempt.delivery_id, Attempt.kind, Attempt.reason, Attempt.code)
        .order_by(last)
    )
    newest: dict[int, tuple[str, str | None, int | None]] = {}
    usual: dict[int, EarlierReason] = {}
    alike: Counter[tuple[int, str]] = Counter()
    for row_id, kind, reason, code, count, _ in rows:
        newest[row_id] = kind, reason, code
        if reason:
            alike[row_id, title(Reason(reason), code)] += count
        before = usual.get(row_id)
        if kind == AttemptKind.SCHEDULED and reason and (not before or count >= before.count):
            usual[row_id] = EarlierReason(Reason(reason), code, count)
    # The last Retry reads otherwise: whatever reads the same came before it.
    return {
        row_id: replace(each, count=alike[row_id, each.words])
        for row_id, each in usual.items()
        if _is_hidden(each, *newest[row_id])
    }


def _is_hidden(usual: EarlierReason, kind: str, reason: str | None, code: int | None) -> bool:
    is_retry = kind == AttemptKind.MANUAL and reason is not None
    return bool(is_retry and reason and title(Reason(reason), code) != usual.words)
