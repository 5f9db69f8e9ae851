"""What becomes of deliveries at the end of their attempts: decided by the policy, then written."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, select

from portal.database.engine import AnyRow
from portal.engine.retry_policy import Decision, Delivered, decide
from portal.extensions import settings
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.services.core.rowset import as_json, given_ids, update_rows
from portal.services.dispatch.ended_leases import LeasedDelivery
from portal.services.dispatch.results import Result
from portal.services.outbox import rollups
from portal.services.outbox.transitions import OPEN_DELIVERY, columns, open_delivery_of

NOT_READ: Final = object()  # equals nothing: such a column is written in any case


class Judged(NamedTuple):
    """The end of an attempt that counts. `before`: its delivery as it was, which nobody else
    changes before we have."""

    result: Result
    before: LeasedDelivery
    decision: Decision

    @property
    def number(self) -> int:
        """The attempt's, unless another that came late has taken it."""
        return max(self.result.claim.number, self.before.attempts + 1)

    @property
    def is_usual(self) -> bool:
        """Whether it is a plain success, as nearly all are; then no more need be read."""
        return self.before.is_plain and isinstance(self.decision, Delivered)


def judge(
    results: Iterable[Result],
    standings: Mapping[int, LeasedDelivery],
    jitter: Callable[[], float],
    now: datetime,
) -> list[Judged]:
    """What becomes of those of the deliveries whose standing is known: leased no more, and their
    webhooks are locked."""
    schedule = settings().webhook_retry_schedule
    return [
        Judged(
            result,
            standings[result.claim.delivery_id],
            decide(
                kind=result.claim.kind,
                tries=result.claim.tries,
                outcome=result.outcome,
                now=now,
                jitter=jitter(),
                schedule=schedule,
            ),
        )
        for result in results
        if result.claim.delivery_id in standings
    ]


def write_deliveries(
    connection: Connection, judged: Sequence[Judged], written: Set[int], now: datetime
) -> None:
    """The deliveries' new status, and what is counted by it. `written`: those of which the plain
    successes have it already."""
    usual: Counter[tuple[int, bool]] = Counter()
    others = []
    for each in judged:
        if each.is_usual and each.before.id in written:
            usual[each.result.claim.webhook.id, each.result.is_late] += 1
        else:
            others.append(each)
    entries = Counter(
        {_arrival(id_, is_late=is_late): many for (id_, is_late), many in usual.items()}
    )
    if others:
        known = _others(connection, [each.before.id for each in others])
        rows = [_delivery_values(each) | _after(each, known[each.before.id], now) for each in others]
        update_rows(connection, Delivery, rows)
        entries.update(_entry(each, row["status"]) for each, row in zip(others, rows, strict=True))
    rollups.count(connection, entries, now)


def _arrival(webhook_id: int, *, is_late: bool) -> rollups.StatusChange:
    """What a plain success is to the counts."""
    delivered = DeliveryStatus.DELIVERED
    return rollups.StatusChange(webhook_id, delivered, Priority.NORMAL, is_late=is_late)


def _delivery_values(judged: Judged) -> dict[str, Any]:
    """What every attempt changes."""
    result = judged.result
    return {
        "id": judged.before.id,
        "attempts": judged.number,
        "tries": result.claim.tries,
        "code": result.outcome.code,
        "took_ms": result.took_ms,
    }


def _entry(judged: Judged, status: str) -> rollups.StatusChange:
    result, before = judged.result, judged.before
    return rollups.StatusChange(
        result.claim.webhook.id,
        status,
        before.priority,
        before.prior_status,
        has_failed=result.outcome.reason is not None,
        is_late=result.is_late,
    )


def _others(connection: Connection, ids: Sequence[int]) -> dict[int, AnyRow]:
    found = connection.execute(_whole(connection.dialect.name), {"ids": as_json(ids)})
    return {row.id: row for row in found.all()}


@cache
def _whole(dialect: str) -> Select[*tuple[Any, ...]]:
    wanted = Delivery.id.in_(given_ids(dialect))
    return select(Delivery.id, Delivery.reason, *OPEN_DELIVERY).where(wanted)


def _after(judged: Judged, before: AnyRow, now: datetime) -> dict[str, Any]:
    """Only what changes, and the status: SQLite writes every index anew whose column is named,
    changed or not."""
    values = columns(judged.decision, open_delivery_of(before), now)
    values["reason"] = judged.result.outcome.reason
    changed = {name: v for name, v in values.items() if v != getattr(before, name, NOT_READ)}
    return {"status": values["status"], **changed}
