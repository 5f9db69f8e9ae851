"""What a webhook is seen by at a glance: its youngest delivery, and when it tries next.

One probe of an index each, however long the log and the backlog are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ScalarSelect, func, literal, literal_column, select, tuple_
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, Priority, is_open
from portal.models.webhooks import Webhook
from portal.services.log_bounds import FIRST_ID, LAST_ID
from portal.services.log_filter import ShownStatus, shown_status


@dataclass(frozen=True, slots=True)
class Latest:
    """The youngest real delivery of a webhook, briefly."""

    public_id: UUID
    status: ShownStatus
    created_at: datetime


def youngest() -> ScalarSelect[int]:
    """The row id of the youngest delivery of the webhook in the enclosing query, tests apart.

    The bounds are one tuple, as in `log_walk`: told that the webhook is one, PostgreSQL may walk
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
    rows = current.scalars(select(Delivery).where(Delivery.id.in_(ids))).all() if ids else []
    return {
        row.id: Latest(
            row.public_id, shown_status(row.status, row.lease_until, now), row.created_at
        )
        for row in rows
    }


def next_try(current: Session, webhook: Webhook) -> datetime | None:
    """When something goes next: its own time, or later while the receiver is left alone."""
    firsts = [_soonest(webhook.id, each) for each in Priority]
    found: Sequence[datetime | None] = list(current.execute(select(*firsts)).one())
    due_at = min((each for each in found if each is not None), default=None)
    if due_at is None or webhook.not_before is None or webhook.in_order:
        return due_at
    return max(due_at, webhook.not_before)


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
