"""Count what arrived and what failed, hour by hour or day by day: read from the roll-ups."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, case, func, select

from portal.models.deliveries import Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session

Counts = Sequence[int]

# In the order of the fields of `Span`.
COUNTED: Final = (Rollup.delivered, Rollup.late, Rollup.failed_attempts)


@dataclass(frozen=True, slots=True)
class Span:
    """Counts from `begins` until just before `ends`, tests apart.

    `late`: of those delivered. `failed_attempts`: each one that did not arrive, so that a delivery
    counts as often as it was tried.
    """

    begins: datetime
    ends: datetime
    delivered: int
    late: int
    failed_attempts: int


@dataclass(frozen=True, slots=True)
class Trend:
    """Spans in their order, the oldest first."""

    spans: tuple[Span, ...]

    @property
    def delivered(self) -> int:
        """Return how many arrived in all."""
        return sum(span.delivered for span in self.spans)

    @property
    def late(self) -> int:
        """Return how many of them arrived late."""
        return sum(span.late for span in self.spans)

    @property
    def failed_attempts(self) -> int:
        """Return how many attempts failed in all."""
        return sum(span.failed_attempts for span in self.spans)


def trend(edges: Sequence[datetime], webhook: UUID | None = None) -> Trend:
    """Return the spans between `edges` (full hours, ascending), of one webhook or of all."""
    statement = _sums(edges)
    if webhook is not None:
        statement = statement.join(Webhook).where(Webhook.public_id == webhook)
    return _trend(edges, {place: counts for place, *counts in session().execute(statement)})


def trends(edges: Sequence[datetime]) -> dict[UUID, Trend]:
    """Return the same for every webhook that had any; by its public id."""
    statement = (
        _sums(edges).join(Webhook).add_columns(Webhook.public_id).group_by(Webhook.public_id)
    )
    by_webhook: dict[UUID, dict[int, Counts]] = defaultdict(dict)
    for place, *counts, public_id in session().execute(statement):
        by_webhook[public_id][place] = counts
    return {public_id: _trend(edges, sums) for public_id, sums in by_webhook.items()}


def _sums(edges: Sequence[datetime]) -> Select[*tuple[Any, ...]]:
    """Return the place of each span that had any, and what was counted in it."""
    ends = enumerate(edges[1:])
    place = case(*((Rollup.hour < end, place) for place, end in ends)).label("place")
    statement = select(place, *(func.sum(count) for count in COUNTED)).select_from(Rollup)
    inside = Rollup.hour >= edges[0], Rollup.hour < edges[-1]
    return statement.where(*inside).group_by(place)


def _trend(edges: Sequence[datetime], sums: Mapping[int, Counts]) -> Trend:
    none = (0,) * len(COUNTED)
    spans = enumerate(pairwise(edges))
    return Trend(tuple(Span(*ends, *map(int, sums.get(place, none))) for place, ends in spans))
