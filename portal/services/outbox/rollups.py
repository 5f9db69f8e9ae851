"""Hourly counts of arrived, late and failed deliveries, updated as they happen.

Charts read these roll-ups, never the log.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal.models.deliveries import (
    Attempt,
    AttemptBody,
    Delivery,
    DeliveryStatus,
    Lease,
    Priority,
    Rollup,
)
from portal.services.core.queries import as_json, insert_many

HOURS_A_STEP: Final = 6
# A delivery that arrives longer than this after its event is late.
LATE: Final = timedelta(minutes=5)
COUNTS: Final = ("delivered", "late", "failed", "failed_attempts")
Counts = tuple[int, ...]
NOTHING: Final[Counts] = (0, 0, 0, 0)


class StatusChange(NamedTuple):
    """A delivery whose status was just written, after an attempt.

    `prior_status`: its status before a person's extra attempt, or None for any other attempt.
    `has_failed`: the attempt did not arrive. `is_late`: it arrived longer than `LATE` after the
    event.
    """

    webhook_id: int
    status: str
    priority: int
    prior_status: str | None = None
    has_failed: bool = False
    is_late: bool = False

    @property
    def counts(self) -> Counts:
        """Return the amount to add to each of `COUNTS`. A test adds nothing, and an unchanged
        status adds no arrival or failure."""
        if self.priority == Priority.TEST:
            return NOTHING
        is_new = self.status != self.prior_status
        arrived = is_new and self.status == DeliveryStatus.DELIVERED
        ended = is_new and self.status == DeliveryStatus.FAILED
        return int(arrived), int(arrived and self.is_late), int(ended), int(self.has_failed)


def count(
    connection: Connection,
    entries: Iterable[StatusChange] | Mapping[StatusChange, int],
    now: datetime,
) -> None:
    """Add `entries`, or each as often as counted, to the hour of `now` (the database's clock).

    `connection` is in the transaction that writes the statuses. Pass all deliveries whose status
    that transaction writes. The function picks the ones that count.
    """
    totals: dict[int, Counts] = {}
    for entry, many in Counter(entries).items():
        if any(counts := entry.counts):
            before = totals.get(entry.webhook_id, NOTHING)
            totals[entry.webhook_id] = tuple(
                had + many * more for had, more in zip(before, counts, strict=True)
            )
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = [
        {
            "hour": hour,
            "webhook_id": webhook_id,
            **dict(zip(COUNTS, totals[webhook_id], strict=True)),
        }
        # In one order everywhere, so that two recorders never deadlock.
        for webhook_id in sorted(totals)
    ]
    if rows:
        connection.execute(
            _upsert(connection.dialect.name, tuple(rows[0])), {"rows": as_json(rows)}
        )


def forget_oldest(connection: Connection, before: datetime) -> int:
    """Delete the oldest few hours that began before `before`. Return how many, 0 at the end."""
    query = select(Rollup.hour).where(Rollup.hour < before).distinct().order_by(Rollup.hour)
    hours = connection.execute(query.limit(HOURS_A_STEP)).scalars().all()
    connection.execute(delete(Rollup).where(Rollup.hour.in_(hours)))
    return len(hours)


@cache
def _upsert(dialect: str, names: tuple[str, ...]) -> postgresql.Insert | sqlite.Insert:
    insert = insert_many(dialect, Rollup, names)
    return insert.on_conflict_do_update(
        index_elements=[Rollup.hour, Rollup.webhook_id],
        set_={name: getattr(Rollup, name) + insert.excluded[name] for name in COUNTS},
    )


def remove_deliveries(current: Session, ids: Collection[int] | Select[*tuple[Any, ...]]) -> None:
    """Delete these deliveries by row id, with everything that their attempts have left.

    Nothing else deletes that. The caller has locked them, or their webhooks, so that no attempt is
    stored meanwhile.
    """
    of_deliveries = Attempt.delivery_id.in_(ids)
    current.execute(delete(Lease).where(Lease.delivery_id.in_(ids)))
    bodies = AttemptBody.attempt_id.in_(select(Attempt.id).where(of_deliveries))
    current.execute(delete(AttemptBody).where(bodies))
    current.execute(delete(Attempt).where(of_deliveries))
    current.execute(delete(Delivery).where(Delivery.id.in_(ids)))
