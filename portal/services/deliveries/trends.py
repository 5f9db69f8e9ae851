"""Count deliveries and failed attempts by hour, day, or week, from the roll-ups.

Only undelivered deliveries are counted in the log, because no roll-up knows what became of them.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, func, literal_column, select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.deliveries import Delivery, DeliveryStatus, Priority, Rollup
from portal.models.webhooks import Webhook
from portal.services.core.queries import COUNT_LIMIT, up_to
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.log_query import bounds, times
from portal.services.deliveries.statuses import LogFilter

Counts = Sequence[int]

# In the order of the fields of `Span`.
COUNTED: Final = (Rollup.delivered, Rollup.late, Rollup.failed_attempts)
NONE: Final[Counts] = (0,) * len(COUNTED)
NOT_DELIVERED: Final = tuple(map(str, set(DeliveryStatus) - {DeliveryStatus.DELIVERED}))


@dataclass(frozen=True, slots=True)
class Span:
    """Counts from `begins` until just before `ends`, without tests.

    `late`: part of `delivered`. `failed_attempts`: all that did not arrive, so a delivery counts
    once for each attempt.
    """

    begins: datetime
    ends: datetime
    delivered: int
    late: int
    failed_attempts: int


@dataclass(frozen=True, slots=True)
class Trend:
    """Spans in order, oldest first."""

    spans: tuple[Span, ...]

    @property
    def delivered(self) -> int:
        """Return the total over all spans."""
        return sum(span.delivered for span in self.spans)

    @property
    def late(self) -> int:
        """Return the total over all spans."""
        return sum(span.late for span in self.spans)

    @property
    def failed_attempts(self) -> int:
        """Return the total over all spans."""
        return sum(span.failed_attempts for span in self.spans)


def trend(edges: Sequence[datetime], webhook: UUID | None = None) -> Trend:
    """Return the spans between `edges` (full hours, ascending), for one webhook or for all."""
    # Grouped by hour, in the order of the primary key, so that no row has to be sorted.
    statement = select(Rollup.hour, *map(func.sum, COUNTED)).where(*_inside(edges))
    if webhook is not None:
        statement = statement.join(Webhook).where(Webhook.public_id == webhook)
    sums: dict[int, Counts] = {}
    for hour, *counts in session().execute(statement.group_by(Rollup.hour)):
        place = bisect_right(edges, hour) - 1
        sums[place] = [a + b for a, b in zip(sums.get(place, NONE), counts, strict=True)]
    return _trend(edges, sums)


def trends(edges: Sequence[datetime]) -> dict[UUID, Trend]:
    """Return the trend of every webhook that has counts, by public id."""
    ends = enumerate(edges[1:])
    place = case(*((Rollup.hour < end, place) for place, end in ends)).label("place")
    statement = select(Webhook.public_id, place, *map(func.sum, COUNTED)).join_from(Rollup, Webhook)
    grouped = statement.where(*_inside(edges)).group_by(place, Webhook.public_id)
    by_webhook: dict[UUID, dict[int, Counts]] = defaultdict(dict)
    for public_id, place_, *counts in session().execute(grouped):
        by_webhook[public_id][place_] = counts
    return {public_id: _trend(edges, sums) for public_id, sums in by_webhook.items()}


@dataclass(frozen=True, slots=True)
class Share:
    """The deliveries of a time, tests excluded. Each counts once in all times together.

    A delivered one counts when it was delivered, any other one when it was stored. `undelivered`
    includes dismissed ones and stops one above `COUNT_LIMIT`.
    """

    delivered: int
    undelivered: int

    @property
    def total(self) -> int:
        return self.delivered + self.undelivered

    @property
    def is_more(self) -> bool:
        """Return whether there are more undelivered ones than were counted."""
        return self.undelivered > COUNT_LIMIT


def undelivered(
    edges: Sequence[datetime], webhooks: Collection[UUID]
) -> Mapping[UUID, Sequence[int]]:
    """Count these webhooks' undelivered deliveries in each span, up to one above `COUNT_LIMIT`.

    Returns nothing if retention can have removed some of the first span.
    """
    current = session()
    kept_since = database_time(current) - timedelta(days=settings().retention_days)
    if edges[0] < kept_since or not webhooks:
        return {}
    spans = [LogFilter(since=begin, until=end) for begin, end in pairwise(edges)]
    statement = undelivered_statement(current, spans).where(Webhook.public_id.in_(webhooks))
    return {public_id: counts for public_id, *counts in current.execute(statement)}


def undelivered_statement(current: Session, spans: Sequence[LogFilter]) -> Select[*tuple[Any, ...]]:
    """Return the statement of `undelivered`, which reads only undelivered rows."""
    counts = []
    for span in spans:
        low, high = bounds(current, span, None)
        rows = select(Delivery.id).where(
            Delivery.webhook_id == Webhook.id,
            Delivery.status.in_(NOT_DELIVERED),
            _known_wide(current, Delivery.id.between(low, high)),
            Delivery.priority != Priority.TEST,
            # A resend in progress, already counted as delivered.
            func.coalesce(Delivery.prior_status, "") != DeliveryStatus.DELIVERED,
            *times(span),
        )
        counts.append(up_to(rows.correlate(Webhook)))
    return select(Webhook.public_id, *counts)


def _known_wide(current: Session, ids: ColumnElement[bool]) -> ColumnElement[bool]:
    """Keep SQLite from reading all deliveries of the time, because it takes a range for narrow."""
    is_sqlite = current.get_bind().dialect.name == "sqlite"
    return func.likelihood(ids, literal_column("0.99")) if is_sqlite else ids


def _inside(edges: Sequence[datetime]) -> tuple[ColumnElement[bool], ...]:
    return Rollup.hour >= edges[0], Rollup.hour < edges[-1]


def _trend(edges: Sequence[datetime], sums: Mapping[int, Counts]) -> Trend:
    spans = enumerate(pairwise(edges))
    return Trend(tuple(Span(*ends, *map(int, sums.get(place, NONE))) for place, ends in spans))
