"""What arrived and what failed, hour by hour or day by day: read from the roll-ups."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, select

from portal.models.rollups import Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session

Counts = Sequence[int | None]

# In the order of the fields of `Span`.
COUNTED: Final = (Rollup.delivered, Rollup.late, Rollup.failed_attempts)


@dataclass(frozen=True, slots=True)
class Span:
    """What happened from `begins` until just before `ends`, tests apart.

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
        """How many arrived in all."""
        return sum(span.delivered for span in self.spans)

    @property
    def late(self) -> int:
        """How many of them arrived late."""
        return sum(span.late for span in self.spans)

    @property
    def failed_attempts(self) -> int:
        """How many attempts failed in all."""
        return sum(span.failed_attempts for span in self.spans)


def trend(edges: Sequence[datetime], webhook: UUID | None = None) -> Trend:
    """The spans between `edges` (full hours, ascending), of one webhook or of all."""
    wanted = _within(select(*_sums(edges)), edges)
    if webhook is not None:
        wanted = wanted.join(Webhook).where(Webhook.public_id == webhook)
    return _trend(edges, session().execute(wanted).one())


def trends(edges: Sequence[datetime]) -> dict[UUID, Trend]:
    """The same for every webhook that had any; by its public id."""
    wanted = _within(select(Webhook.public_id, *_sums(edges)), edges).join(Webhook)
    rows = session().execute(wanted.group_by(Webhook.public_id))
    return {public_id: _trend(edges, counts) for public_id, *counts in rows}


def _within(wanted: Select[*tuple[Any, ...]], edges: Sequence[datetime]) -> Any:
    return wanted.select_from(Rollup).where(Rollup.hour >= edges[0], Rollup.hour < edges[-1])


def _sums(edges: Sequence[datetime]) -> list[ColumnElement[int]]:
    columns: list[ColumnElement[int]] = []
    for begins, ends in pairwise(edges):
        inside = and_(Rollup.hour >= begins, Rollup.hour < ends)
        columns += [func.sum(case((inside, count), else_=0)) for count in COUNTED]
    return columns


def _trend(edges: Sequence[datetime], counts: Counts) -> Trend:
    numbers = [int(count or 0) for count in counts]
    each = [numbers[place :: len(COUNTED)] for place in range(len(COUNTED))]
    return Trend(tuple(Span(*part) for part in zip(edges, edges[1:], *each, strict=False)))
