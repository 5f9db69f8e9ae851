"""What a webhook is seen by at a glance: its youngest delivery, why it fails, when it tries next.

One probe of an index each, however long the log and the backlog are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, ScalarSelect, func, literal, literal_column, select, tuple_
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, DeliveryStatus, Priority, is_open
from portal.models.webhooks import OffReason, Webhook, WebhookState
from portal.services.core.keyset import FIRST_ID, LAST_ID
from portal.services.outbox.next_try import seen_statuses
from portal.services.outbox.status import ShownStatus

FAILING: Final = (DeliveryStatus.RETRYING, DeliveryStatus.FAILED)


class Standing(StrEnum):
    """How a webhook fares, as people see it, the worst first.

    Failing: from the first failure that no success has followed. Paused: its receiver does not
    respond, so only a probe goes now and then.
    """

    PAUSED = "paused"
    FAILING = "failing"
    ACTIVE = "active"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Latest:
    """The youngest real delivery of a webhook, briefly."""

    public_id: UUID
    status: ShownStatus
    created_at: datetime


def youngest() -> ScalarSelect[int]:
    """The row id of the youngest delivery of the webhook in the enclosing query, tests apart.

    The bounds are one tuple, as in `log/walk.py`: told that the webhook is one, PostgreSQL may walk
    the whole log backwards for another that has been quiet for long.
    """
    key = tuple_(Delivery.webhook_id, Delivery.id)
    return (
        select(Delivery.id)
        .where(
            key >= tuple_(Webhook.id, literal(FIRST_ID)),
            key <= tuple_(Webhook.id, literal(LAST_ID)),
            Delivery.priority != Priority.TEST,
        )
        .order_by(Delivery.webhook_id.desc(), Delivery.id.desc())
        .limit(1)
        .correlate(Webhook)
        .scalar_subquery()
    )


def latest_of(current: Session, ids: Sequence[int], now: datetime) -> dict[int, Latest]:
    """These deliveries by their row ids. `now`: the database's clock."""
    if not ids:
        return {}
    joined = select(Delivery, Webhook).join(Webhook, Webhook.id == Delivery.webhook_id)
    found = current.execute(joined.where(Delivery.id.in_(ids))).all()
    rows = [(row[0], row[1]) for row in found]
    statuses = seen_statuses(current, rows, now)
    return {row.id: Latest(row.public_id, statuses[row.id], row.created_at) for row, _ in rows}


def last_failure(current: Session, webhook: Webhook) -> tuple[str | None, int | None]:
    """Reason and code of its youngest delivery that did not arrive, tests apart.

    Nothing while it is well. What waits until a receiver is left alone no longer has no reason of
    its own, so the youngest few of the log would not do.
    """
    if not webhook.failures_in_row:
        return None, None
    rows = [_youngest_with(current, webhook.id, each) for each in FAILING]
    found = max((row for row in rows if row), default=None)
    return (found[1], found[2]) if found else (None, None)


def oldest_held(current: Session, webhook_id: int) -> datetime | None:
    """Since when the oldest of what is held is there; None while nothing is."""
    is_held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.HELD)
    first = select(Delivery.created_at).where(*is_held).order_by(Delivery.id).limit(1)
    return current.scalar(first)


def next_try(current: Session, webhook: Webhook) -> datetime | None:
    """When something goes next: its own time, or later while the receiver is left alone."""
    firsts = [_soonest(webhook.id, each) for each in Priority]
    found: Sequence[datetime | None] = list(current.execute(select(*firsts)).one())
    due_at = min((each for each in found if each is not None), default=None)
    if due_at is None or webhook.not_before is None or webhook.in_order:
        return due_at
    return max(due_at, webhook.not_before)


def standing_of(webhook: Webhook | Row[Any]) -> Standing:
    """How it fares."""
    if webhook.state != WebhookState.ACTIVE:
        return Standing.OFF
    if webhook.throttled:
        return Standing.PAUSED
    return Standing.FAILING if webhook.failures_in_row else Standing.ACTIVE


def wants_a_look(webhook: Webhook | Row[Any]) -> bool:
    """Failing, paused, or off, unless a person turned it off."""
    if webhook.state != WebhookState.ACTIVE:
        return webhook.off_reason in (OffReason.GONE, OffReason.FAILING)
    return bool(webhook.throttled or webhook.failures_in_row)


def severity(webhook: Row[Any]) -> tuple[int, str]:
    """The worst first: what we turned off, then as `Standing` has it, then by name."""
    by_us = webhook.state != WebhookState.ACTIVE and wants_a_look(webhook)
    order = -1 if by_us else list(Standing).index(standing_of(webhook))
    return order, webhook.name.lower()


def _youngest_with(
    current: Session, webhook_id: int, status: DeliveryStatus
) -> Row[int, str | None, int | None] | None:
    return current.execute(
        select(Delivery.id, Delivery.reason, Delivery.code)
        .where(
            Delivery.webhook_id == webhook_id,
            Delivery.status == status,
            Delivery.priority != Priority.TEST,
            Delivery.reason.is_not(None),
        )
        .order_by(Delivery.id.desc())
        .limit(1)
    ).one_or_none()


def _soonest(webhook_id: int, priority: Priority) -> ScalarSelect[datetime]:
    """The first of the open rows' index: across priorities it is in no order of time."""
    return (
        select(func.min(Delivery.due_at))
        .where(
            Delivery.webhook_id == webhook_id,
            is_open(),
            Delivery.priority == literal_column(str(int(priority))),
        )
        .scalar_subquery()
    )
