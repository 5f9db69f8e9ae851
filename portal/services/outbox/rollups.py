"""Roll-ups: how many deliveries came to their end each hour, counted as they do.

Charts read them, never the log.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from portal.models.deliveries import DeliveryStatus, Priority
from portal.models.rollups import Rollup
from portal.services.core.rowset import as_json, insert_many

HOURS_A_STEP: Final = 6
COUNTED: Final = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED)


class StatusChange(NamedTuple):
    """A delivery whose status was just written.

    `prior_status`: what it had before a person's extra attempt began; None for any other attempt.
    """

    webhook_id: int
    status: str
    priority: int
    prior_status: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it has entered Delivered or Failed: not a test, and not there already."""
        is_new = self.status != self.prior_status
        return self.status in COUNTED and is_new and self.priority != Priority.TEST


def count(connection: Connection, entries: Iterable[StatusChange], now: datetime) -> None:
    """Add what `entries` say to the hour of `now` (the database's clock).

    `connection` is in the writing transaction that writes the statuses. Give it every delivery
    whose status that transaction writes; it picks those that count.
    """
    ends = Counter((each.webhook_id, each.status) for each in entries if each.counts)
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = [
        {
            "hour": hour,
            "webhook_id": webhook_id,
            "delivered": ends[webhook_id, DeliveryStatus.DELIVERED],
            "failed": ends[webhook_id, DeliveryStatus.FAILED],
        }
        # In one order everywhere, so that two recorders never wait for each other in a ring.
        for webhook_id in sorted({webhook_id for webhook_id, _ in ends})
    ]
    if rows:
        connection.execute(
            _upsert(connection.dialect.name, tuple(rows[0])), {"rows": as_json(rows)}
        )


def forget_oldest(connection: Connection, before: datetime) -> int:
    """Remove the oldest few hours, of those that began before `before`; how many, 0 at the end."""
    some = select(Rollup.hour).where(Rollup.hour < before).distinct().order_by(Rollup.hour)
    hours = connection.execute(some.limit(HOURS_A_STEP)).scalars().all()
    connection.execute(delete(Rollup).where(Rollup.hour.in_(hours)))
    return len(hours)


@cache
def _upsert(dialect: str, names: tuple[str, ...]) -> postgresql.Insert | sqlite.Insert:
    insert = insert_many(dialect, Rollup, names)
    return insert.on_conflict_do_update(
        index_elements=[Rollup.hour, Rollup.webhook_id],
        set_={
            "delivered": Rollup.delivered + insert.excluded.delivered,
            "failed": Rollup.failed + insert.excluded.failed,
        },
    )
