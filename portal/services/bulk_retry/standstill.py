"""Why nothing of a bulk retry goes to a webhook at this moment, though it has not ended."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from uuid import UUID

from sqlalchemy import or_, select

from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.services.bulk_retry.rows import halted
from portal.services.core.unit_of_work import database_time, session
from portal.services.outbox.sending_switch import find_stop


class Standstill(StrEnum):
    """What is waited for: that somebody continues it, that all sending is started again, or that
    a receiver responds that is left alone meanwhile."""

    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    RECEIVER = "receiver"


def standstills(
    tasks: Iterable[Task], webhooks: Collection[UUID]
) -> dict[tuple[int, UUID], Standstill]:
    """Where these send nothing now, and why: by the task's row id and the webhook. Reads only."""
    known = list(tasks)
    if not known:
        return {}
    current = session()
    now = database_time(current)
    alone = or_(Webhook.throttled, Webhook.not_before > now).label("is_left_alone")
    wanted = select(Webhook.id, Webhook.public_id, alone).where(Webhook.public_id.in_(webhooks))
    rows, is_stopped = current.execute(wanted).all(), find_stop() is not None
    found: dict[tuple[int, UUID], Standstill] = {}
    for task in known:
        broken = halted(task)
        for row in rows:
            if task.state == TaskState.PAUSED or row.id in broken:
                found[task.id, row.public_id] = Standstill.INTERRUPTED
            elif is_stopped:
                found[task.id, row.public_id] = Standstill.STOPPED
            elif row.is_left_alone:
                found[task.id, row.public_id] = Standstill.RECEIVER
    return found
