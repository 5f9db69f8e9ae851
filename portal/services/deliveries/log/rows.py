"""A line of the log: what was stored of a delivery, and how it stands at this moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.orm import Session

from portal.engine.reason_keys import NEVER_LEFT
from portal.engine.retry_policy import AttemptKind
from portal.models.deliveries import OPEN, Attempt, AttemptOutcome, DeliveryStatus, Priority
from portal.services.deliveries.answers import Said
from portal.services.deliveries.log.failures import Failure
from portal.services.outbox.next_try import heads, paused_for, paused_until
from portal.services.outbox.status import PausedFor, ShownStatus, shown_status

RETRYABLE: Final = (ShownStatus.RETRYING, ShownStatus.FAILED, ShownStatus.STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One line of the log. `reason`, `code`, `took_ms`: of the last attempt.

    `unpaused`: what the status would be without the pause, and what verbs go by. `sent`: how many
    of the attempts may have reached the receiver. `next_try_at`: while it is open
    and waits for no older one, which `waits_behind` says of a webhook that wants them in order.
    `finished_at`: when it arrived, failed for good, or was stopped; None while it is tried.
    `failure`: of a filter by time of failure, the last attempt that failed in it. `said`: of a
    filter by answer, the newest that fits.
    """

    id: int
    public_id: UUID
    created_at: datetime
    event: str
    asset_id: int | None
    asset_tag: str
    asset_name: str
    webhook_id: UUID
    webhook_name: str
    is_webhook_active: bool
    webhook_off_at: datetime | None
    is_in_order: bool
    status: ShownStatus
    unpaused: ShownStatus
    paused_for: PausedFor | None
    is_test: bool
    reason: str | None
    code: int | None
    tries: int
    attempts: int
    sent: int
    next_try_at: datetime | None
    waits_behind: bool
    took_ms: int | None
    finished_at: datetime | None
    failure: Failure | None = None
    said: Said | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether Retry can be pressed right here, without a question first."""
        return self.unpaused in RETRYABLE and self.is_webhook_active and not self.is_test


def rows_of(
    current: Session, found: Sequence[Row[*tuple[Any, ...]]], now: datetime
) -> list[LogRow]:
    """What `page_statement` found; how often it was sent, and what goes first, take another look.
    `now`: the database's clock."""
    sent = _sent(current, [each.id for each in found if _may_have_failed(each)])
    ahead = heads(current, (each.webhook_id for each in found if _waits_its_turn(each)))
    return [_row(each, now, sent, ahead) for each in found]


def _sent(current: Session, ids: Sequence[int]) -> dict[int, int]:
    """How many attempts of each may have reached the receiver."""
    if not ids:
        return {}
    left = or_(Attempt.reason.is_(None), Attempt.reason.not_in(map(str, NEVER_LEFT)))
    went = and_(left, Attempt.outcome != AttemptOutcome.UNREACHED)
    counted = (
        select(Attempt.delivery_id, func.count())
        .where(Attempt.delivery_id.in_(ids), went)
        .group_by(Attempt.delivery_id)
    )
    return {row[0]: row[1] for row in current.execute(counted)}


def _may_have_failed(row: Row[*tuple[Any, ...]]) -> bool:
    """Whether an attempt may not have left; not what arrived at once, which is most of a log."""
    has_arrived_at_once = row.attempts == 1 and row.status == DeliveryStatus.DELIVERED
    return row.attempts > 0 and not has_arrived_at_once


def _waits_its_turn(row: Row[*tuple[Any, ...]]) -> bool:
    """Whether it may have to wait for an older one."""
    is_usual = row.priority != Priority.TEST and row.prior_status is None
    return row.status in OPEN and row.in_order and is_usual


def _next_try(row: Row[*tuple[Any, ...]], now: datetime) -> datetime | None:
    is_sent_to = row.is_webhook_active or row.priority == Priority.TEST
    if row.status not in OPEN or not is_sent_to:
        return None
    due_at: datetime = row.due_at
    pause = paused_until(row.priority, row.not_before, now, in_order=row.in_order)
    return max(due_at, pause or due_at)


def _row(
    row: Row[*tuple[Any, ...]], now: datetime, sent: dict[int, int], ahead: dict[int, int | None]
) -> LogRow:
    waits_behind = _waits_its_turn(row) and (ahead[row.webhook_id] or row.id) < row.id
    status = shown_status(row.status, row.leased_until, now)
    is_leased = row.leased_kind is not None  # an attempt that has no row of its own yet
    pause = paused_until(row.priority, row.not_before, now, in_order=row.in_order)
    waits_for = paused_for(status, row.due_at, pause, is_behind=waits_behind)
    return LogRow(
        id=row.id,
        public_id=row.public_id,
        created_at=row.created_at,
        event=row.event,
        asset_id=row.asset_id,
        asset_tag=row.asset_tag,
        asset_name=row.asset_name,
        webhook_id=row.webhook_public_id,
        webhook_name=row.webhook_name,
        is_webhook_active=bool(row.is_webhook_active),
        webhook_off_at=row.off_at,
        is_in_order=bool(row.in_order),
        status=ShownStatus.PAUSED if waits_for else status,
        unpaused=status,
        paused_for=waits_for,
        is_test=row.priority == Priority.TEST,
        reason=row.reason,
        code=row.code,
        tries=row.tries + (row.leased_kind == AttemptKind.SCHEDULED),
        attempts=row.attempts + is_leased,
        sent=(sent.get(row.id, 0) if _may_have_failed(row) else row.attempts) + is_leased,
        next_try_at=None if waits_behind else _next_try(row, now),
        waits_behind=waits_behind,
        took_ms=row.took_ms,
        finished_at=row.finished_at,
    )
