"""Count deliveries and failed attempts by hour or by day, from the roll-ups."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select

from portal.models.deliveries import Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session

Counts = Sequence[int]

# In the order of the fields of `Span`.
COUNTED: Final = (Rollup.delivered, Rollup.late, Rollup.failed_attempts)
NONE: Final[Counts] = (0,) * len(COUNTED)


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


def _inside(edges: Sequence[datetime]) -> tuple[ColumnElement[bool], ...]:
    return Rollup.hour >= edges[0], Rollup.hour < edges[-1]


def _trend(edges: Sequence[datetime], sums: Mapping[int, Counts]) -> Trend:
    spans = enumerate(pairwise(edges))
    return Trend(tuple(Span(*ends, *map(int, sums.get(place, NONE))) for place, ends in spans))
