"""What is in a bulk retry that has not ended, and so is sent once more by itself."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.models.batches import BatchRow, RowOutcome
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import database_time
from portal.services.deliveries.log.attention import is_undismissed, wants_attention
from portal.services.deliveries.log.marks import is_unmarked

NAME: Final = "bulk_retry"
# Of these, rows are still to be sent.
UNDER_WAY: Final = (TaskState.WAITING, TaskState.RUNNING, TaskState.PAUSED)
NOT_ENDED: Final = (RowOutcome.WAITING, RowOutcome.SENT)
MOST_QUEUED: Final = 5000


class Queued(NamedTuple):
    """How many of a problem are in one bulk retry: `waiting`, and `handed_over` to be sent, though
    nothing goes there at this moment."""

    waiting: int = 0
    handed_over: int = 0

    @property
    def all(self) -> int:
        """Both."""
        return self.waiting + self.handed_over

    def with_more(self, other: "Queued") -> "Queued":
        """Those of both."""
        return Queued(self.waiting + other.waiting, self.handed_over + other.handed_over)


def taken(current: Session, ids: Sequence[int]) -> dict[int, int]:
    """Which of these deliveries are in a bulk retry now: the row id of each one's task."""
    if not ids:
        return {}
    wanted = select(BatchRow.delivery_id, BatchRow.task_id).where(
        BatchRow.task_id.in_(_running(current)),
        BatchRow.delivery_id.in_(ids),
        BatchRow.outcome.in_(NOT_ENDED),
    )
    return {row.delivery_id: row.task_id for row in current.execute(wanted)}


def queued(current: Session) -> dict[tuple[UUID, str | None], dict[int, Queued]]:
    """What is still to be sent in bulk retries now, and wants attention meanwhile: by webhook and
    the reason of the last attempt, how many of which task (its row id). Of many the first
    `MOST_QUEUED`."""
    ids = _running(current)
    if not ids:
        return {}
    some = (
        select(BatchRow.task_id, BatchRow.delivery_id)
        .where(BatchRow.task_id.in_(ids), BatchRow.outcome.in_(NOT_ENDED))
        .limit(MOST_QUEUED)
        .subquery()
    )
    stands = (
        wants_attention(database_time(current)),
        is_undismissed(Delivery),
        is_unmarked(Delivery),
    )
    # Failed or retried, it waits for its turn; waiting itself, it is handed over.
    is_handed = Delivery.status == DeliveryStatus.WAITING
    rows = current.execute(
        select(Webhook.public_id, Delivery.reason, some.c.task_id, is_handed, func.count())
        .select_from(some)
        .join(Delivery, Delivery.id == some.c.delivery_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(*stands)
        .group_by(Webhook.public_id, Delivery.reason, some.c.task_id, is_handed)
    )
    found: dict[tuple[UUID, str | None], dict[int, Queued]] = {}
    for webhook, reason, task_id, is_over, many in rows:
        more = Queued(handed_over=many) if is_over else Queued(waiting=many)
        of_one = found.setdefault((webhook, reason), {})
        of_one[task_id] = of_one.get(task_id, Queued()).with_more(more)
    return found


def count_queued(current: Session, webhook_id: int, *wanted: ColumnElement[bool]) -> int:
    """How many deliveries of one webhook are still to be sent in bulk retries now, of those that
    are as `wanted`. Of many the first `MOST_QUEUED` are looked at."""
    ids = _running(current)
    if not ids:
        return 0
    mine = BatchRow.task_id.in_(ids), BatchRow.webhook_id == webhook_id
    some = select(BatchRow.delivery_id).where(*mine, BatchRow.outcome == RowOutcome.WAITING)
    ids_of = some.limit(MOST_QUEUED).subquery()
    rows = select(func.count(Delivery.id.distinct())).select_from(ids_of)
    rows = rows.join(Delivery, Delivery.id == ids_of.c.delivery_id).where(*wanted)
    return current.execute(rows).scalar_one()


def _running(current: Session) -> Sequence[int]:
    running = select(Task.id).where(Task.kind == NAME, Task.state.in_(UNDER_WAY))
    return current.scalars(running).all()
