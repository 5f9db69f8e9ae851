"""Take out: one delivery leaves the bulk retry in which it waits, and stays as it is."""

from typing import Final
from uuid import UUID

from sqlalchemy import select, update

from portal.models.batches import BatchRow, RowOutcome
from portal.models.deliveries import Delivery
from portal.models.tasks import Task, TaskState
from portal.queue import task_bell
from portal.services.audit import trail
from portal.services.bulk_retry.rows import left_by_webhook
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, writing
from portal.services.deliveries import queued_rows
from portal.services.tasks import tasks

STOP_PERMISSION: Final = "deliveries.stop"
# Without a name, which is in the audit trail: an erasure looks for names there.
TAKEN_OUT: Final = "It was taken out before it was sent."
TOO_LATE: Final = "It waits in no bulk retry any more: see how it stands."


def take_out(actor: Actor, public_id: UUID) -> None:
    """Leave this delivery out of the bulk retry in which it waits. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, STOP_PERMISSION)
        row_id = current.scalar(select(Delivery.id).where(Delivery.public_id == public_id))
        if row_id is None:
            raise NotFound("There is no delivery at this address.")
        found = queued_rows.taken(current, [row_id]).get(row_id)
        if found is None:
            raise Refusal(TOO_LATE)
        task = tasks.locked(current, current.get_one(Task, found).public_id)
        mine = BatchRow.task_id == task.id, BatchRow.delivery_id == row_id
        left = update(BatchRow).where(*mine, BatchRow.outcome == RowOutcome.WAITING)
        gone = left.values(outcome=RowOutcome.SKIPPED, message=TAKEN_OUT)
        # What is handed over is on its way; Stop takes that back.
        if not current.execute(gone.returning(BatchRow.delivery_id)).all():
            raise Refusal(TOO_LATE)
        task.count(RowOutcome.SKIPPED)
        if not left_by_webhook(current, task.id):
            # It may be interrupted, and nobody has anything to continue now.
            task.state, task.due_at = TaskState.RUNNING, database_time(current)
            task_bell.ring_after_commit(current)
        changes = {"delivery": {"from": None, "to": str(public_id)}}
        target = ("batch", task.public_id, "Bulk retry")
        trail.record(current, actor, "batch.delivery_taken_out", target=target, changes=changes)
