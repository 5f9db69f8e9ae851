"""Count deliveries and recent attempts for monitoring."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from portal.models.deliveries import Attempt, Delivery, DeliveryStatus
from portal.services.core.unit_of_work import database_time, session

# Only the newest of each status are counted. Otherwise, a scrape would cost more every month.
COUNTED: Final = 20_000
RECENT: Final = timedelta(minutes=5)
RECENT_ATTEMPTS: Final = 10_000
QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Recent:
    """Attempts that ended within `RECENT`, as counts by (outcome, reason) and sorted seconds."""

    attempts: Counter[tuple[str, str]]
    seconds: Sequence[float]

    def quantile(self, share: float) -> float:
        """Return the seconds in which this share of attempts ended, or 0 without attempts."""
        if not self.seconds:
            return 0.0
        return self.seconds[math.ceil(share * len(self.seconds)) - 1]


def read_deliveries() -> dict[tuple[str, str], int]:
    """Count deliveries by (status, reason of the last attempt), at most `COUNTED` per status.

    Each status is also listed without a reason, even with 0, because an alarm needs a series.
    """
    totals = {(str(status), ""): 0 for status in DeliveryStatus}
    for status in DeliveryStatus:
        newest = (
            select(Delivery.reason)
            .where(Delivery.status == status)
            .order_by(Delivery.id.desc())
            .limit(COUNTED)
            .subquery()
        )
        counts = select(newest.c.reason, func.count()).group_by(newest.c.reason)
        for reason, count in session().execute(counts):
            totals[status, reason or ""] = count
    return totals


def read_recent() -> Recent:
    """Return the newest attempts that ended, including tests and people's own."""
    current = session()
    since = database_time(current) - RECENT
    newest = (
        select(Attempt.outcome, Attempt.reason, Attempt.started_at, Attempt.finished_at)
        .order_by(Attempt.id.desc())
        .limit(RECENT_ATTEMPTS)
        .subquery()
    )
    rows = current.execute(select(newest).where(newest.c.finished_at > since)).all()
    seconds = sorted((row.finished_at - row.started_at).total_seconds() for row in rows)
    return Recent(Counter((row.outcome, row.reason or "") for row in rows), seconds)
