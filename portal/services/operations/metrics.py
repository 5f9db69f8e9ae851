"""Numbers for monitoring: what the log holds, and how the latest attempts went."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from portal.models.deliveries import Attempt, Delivery, DeliveryStatus
from portal.services.core.unit_of_work import database_time, session

# Of each status only the newest are counted, or a scrape would cost more with every month.
COUNTED: Final = 20_000
RECENT: Final = timedelta(minutes=5)
RECENT_ATTEMPTS: Final = 10_000
QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Recent:
    """The attempts that ended within `RECENT`: how many by (outcome, reason), seconds sorted."""

    attempts: Counter[tuple[str, str]]
    seconds: Sequence[float]

    def quantile(self, share: float) -> float:
        """So many seconds or fewer were enough for that share of them; 0 without any."""
        if not self.seconds:
            return 0.0
        return self.seconds[math.ceil(share * len(self.seconds)) - 1]


def read_deliveries() -> dict[tuple[str, str], int]:
    """Return how many deliveries by (status, reason of the last attempt), at most `COUNTED` a
    status.

    Each status stands there without a reason, too, if only with 0: an alarm needs a series.
    """
    found = {(str(status), ""): 0 for status in DeliveryStatus}
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
            found[status, reason or ""] = count
    return found


def read_recent() -> Recent:
    """Return the newest attempts that have ended, tests and people's own included."""
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
