"""When a delivery goes next: at its own time, or later, for its webhook's sake.

The same that `due` claims by, told of one delivery.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ScalarSelect, select
from sqlalchemy.orm import Session

from portal.models.deliveries import Priority
from portal.services.outbox.due import head_of


def paused_until(
    priority: int, not_before: datetime | None, now: datetime, *, in_order: bool
) -> datetime | None:
    """Until when it waits because its receiver is left alone; None: it does not.

    A test and a person's Retry wait for nobody. In order, the head probes at its own time.
    `now`: the database's clock.
    """
    if not_before is None or not_before <= now:
        return None
    waits = priority == Priority.BULK or (priority == Priority.NORMAL and not in_order)
    return not_before if waits else None


def heads(current: Session, webhook_ids: Iterable[int]) -> dict[int, int | None]:
    """The oldest open delivery of each of these webhooks, by their row ids."""
    ids = sorted(set(webhook_ids))
    wanted: Sequence[ScalarSelect[int]] = [head_of(each) for each in ids]
    found = current.execute(select(*wanted)).one() if ids else ()
    return dict(zip(ids, found, strict=True))
