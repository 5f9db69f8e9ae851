"""Pause and resume sending to all webhooks."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.lib.clock import common_now
from portal.lib.durations import in_words
from portal.models.operations import SendingSwitch
from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.queries import update_rows
from portal.services.core.unit_of_work import database_time, insert_or_ignore, notify, writing
from portal.services.outbox.claimable import THE_ROW

PERMISSION: Final = "sending.switch"
TARGET: Final = ("sending", THE_ROW, "All webhooks")


def stop(actor: Actor) -> bool:
    """Pause all sending. Return False if it was already paused, and keep that pause unchanged."""
    with writing() as current:
        require(current, actor, PERMISSION)
        make = insert_or_ignore(current.connection())
        row = make(SendingSwitch).values(
            id=THE_ROW,
            stopped_at=common_now(),
            stopped_by=actor.name,
            stopped_by_id=actor.user_id,
        )
        inserted = current.execute(row.on_conflict_do_nothing().returning(SendingSwitch.id))
        if inserted.scalar_one_or_none() is None:
            return False
        audit.record(current, actor, "sending.stopped", target=TARGET)
        return True


def start(actor: Actor) -> bool:
    """Resume all sending right away. Return False if it was on.

    Failing webhooks add the pause to `stopped_for`, so that none is turned off for days in which
    nothing was sent.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        gone = delete(SendingSwitch).returning(SendingSwitch.stopped_at)
        stopped_at = current.execute(gone).scalar_one_or_none()
        if stopped_at is None:
            return False
        _remember(current, stopped_at)
        stopped = in_words((database_time(current) - stopped_at).total_seconds())
        changes = audit.added({"stopped_for": stopped})
        audit.record(current, actor, "sending.started", target=TARGET, changes=changes)
        notify(current)
        return True


def _remember(current: Session, stopped_at: datetime) -> None:
    """Add the length of the pause to each failing webhook, counted since it began to fail."""
    now = database_time(current)
    query = select(Webhook.id, Webhook.failing_since, Webhook.stopped_for)
    failing = query.where(Webhook.failing_since.is_not(None)).order_by(Webhook.id)
    changes = []
    for row_id, since, before in current.execute(failing.with_for_update(key_share=True)):
        stopped = now - max(stopped_at, since or now)
        changes.append({"id": row_id, "stopped_for": before + int(stopped.total_seconds())})
    update_rows(current.connection(), Webhook, changes)
