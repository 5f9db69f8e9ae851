"""How many deliveries came to which end, hour by hour or day by day: read from the roll-ups."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, select

from portal.models.rollups import Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session

Counts = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Span:
    """What became Delivered and Failed from `begins` until just before `ends`, tests apart."""

    begins: datetime
    ends: datetime
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Trend:
    """Spans in their order, the oldest first."""

    spans: tuple[Span, ...]

    @property
    def delivered(self) -> int:
        """How many arrived in all."""
        return sum(span.delivered for span in self.spans)

    @property
    def failed(self) -> int:
        """How many failed for good in all."""
        return sum(span.failed for span in self.spans)


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
        columns += [
            func.sum(case((inside, count), else_=0)) for count in (Rollup.delivered, Rollup.failed)
        ]
    return columns


def _trend(edges: Sequence[datetime], counts: Counts) -> Trend:
    numbers = [int(count or 0) for count in counts]
    parts = zip(edges, edges[1:], numbers[::2], numbers[1::2], strict=False)
    return Trend(tuple(Span(*part) for part in parts))
