"""Small things that nobody asks about any more: sent forms, old links, what the inbox got …"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from portal.lib.clock import utcnow
from portal.models.inbox import InboxMessage
from portal.models.operations import Submission
from portal.models.people import Link, SignInThrottle
from portal.models.tasks import Task
from portal.services.core.unit_of_work import writing
from portal.services.webhooks.inbox.messages import KEPT_FOR

AT_ONCE: Final = 1000
FORM_KEPT: Final = timedelta(hours=24)
SIGN_IN_KEPT: Final = timedelta(days=1)


def clear(before: datetime) -> None:
    """Remove sent forms and the inbox after a day; links, and work that ended, before `before`."""
    now = utcnow()
    _clear(Submission.id, Submission.created_at < now - FORM_KEPT)
    _clear(Link.id, Link.expires_at < before)
    _clear(SignInThrottle.key, SignInThrottle.last_failed_at < now - SIGN_IN_KEPT)
    _clear(Task.id, Task.finished_at < before)
    _clear(InboxMessage.id, InboxMessage.received_at < now - KEPT_FOR)


def _clear(
    key: InstrumentedAttribute[int] | InstrumentedAttribute[str], is_old: ColumnElement[bool]
) -> None:
    """In transactions of their own; rows in use are left to the next time."""
    while True:
        with writing() as current:
            wanted = select(key).where(is_old).limit(AT_ONCE).with_for_update(skip_locked=True)
            keys = current.scalars(wanted).all()
            current.execute(delete(key.class_).where(key.in_(keys)))
        if len(keys) < AT_ONCE:
            return
