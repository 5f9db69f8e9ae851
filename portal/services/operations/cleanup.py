"""Small things that nobody asks about any more: sent forms, old links, what the inbox got …"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, or_

from portal.models.inbox import InboxMessage
from portal.models.operations import Submission
from portal.models.people import Link
from portal.models.tasks import Task, TaskState
from portal.services.core.removal import remove_in_steps
from portal.services.people import sessions, sign_in_throttle
from portal.services.webhooks.inbox.messages import KEPT_FOR

FORM_KEPT: Final = timedelta(hours=24)


def clear(before: datetime, now: datetime) -> None:
    """Remove forms, failed sign-ins and the inbox after a day, sessions that have ended, links and
    ended or forgotten work `before`. `now`: the database's."""
    remove_in_steps(Submission.id, Submission.created_at < now - FORM_KEPT)
    remove_in_steps(Link.id, Link.expires_at < before)
    sign_in_throttle.remove_old()
    sessions.remove_old()
    # A file that nobody said how to read was never begun.
    is_forgotten = and_(
        Task.state == TaskState.PAUSED, Task.started_at.is_(None), Task.created_at < before
    )
    remove_in_steps(Task.id, or_(Task.finished_at < before, is_forgotten))
    remove_in_steps(InboxMessage.id, InboxMessage.received_at < now - KEPT_FOR)
