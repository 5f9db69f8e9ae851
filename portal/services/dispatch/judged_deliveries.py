"""What becomes of deliveries at the end of their attempts: decided by the policy, then written."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    Update,
    and_,
    bindparam,
    literal_column,
    select,
    update,
)

from portal.database.engine import AnyRow, UtcDateTime
from portal.engine.retry_policy import Decision, Delivered, decide
from portal.extensions import settings
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.services.core.rowset import Rowset, as_json, given_ids, update_rows
from portal.services.dispatch.results import Result
from portal.services.outbox import rollups
from portal.services.outbox.transitions import OPEN_DELIVERY, columns, open_delivery_of

NOT_READ: Final = object()  # equals nothing: such a column is written in any case


class LeasedDelivery(NamedTuple):
    """A delivery at the end of an attempt. `attempts`: how many have ended before.

    `is_plain`: a success changes nothing of it but the status.
    """

    id: int
    attempts: int
    priority: int
    prior_status: str | None
    is_plain: bool


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
    connection: Connection, results: Sequence[Result], jitter: Callable[[], float], now: datetime
) -> Sequence[Judged]:
    """What becomes of the deliveries, which are leased no more, and whose webhooks are locked."""
    schedule = settings().webhook_retry_schedule
    standings = _standings(connection, [each.claim.delivery_id for each in results])
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


def _standings(connection: Connection, ids: Sequence[int]) -> dict[int, LeasedDelivery]:
    found = connection.execute(_standing(connection.dialect.name), {"ids": as_json(ids)})
    return {row[0]: LeasedDelivery._make(row) for row in found.all()}


@cache
def _standing(dialect: str) -> Select[*tuple[Any, ...]]:
    """The columns of `LeasedDelivery`."""
    plain = and_(
        Delivery.priority == literal_column(str(int(Priority.NORMAL))),
        Delivery.prior_status.is_(None),
        Delivery.requested_by.is_(None),
        Delivery.stopped_by.is_(None),
        Delivery.reason.is_(None),
    )
    columns = (Delivery.id, Delivery.attempts, Delivery.priority, Delivery.prior_status)
    return select(*columns, plain).where(Delivery.id.in_(given_ids(dialect)))


def write(connection: Connection, judged: Sequence[Judged], now: datetime) -> None:
    """The deliveries' new status, and what is counted by it."""
    usual = [each for each in judged if each.is_usual]
    others = [each for each in judged if not each.is_usual]
    if usual:
        rows = as_json(_counts(each) for each in usual)
        given = {"rows": rows, "now": now}
        connection.execute(_deliver(connection.dialect.name), given)
    entries = [_entry(each, DeliveryStatus.DELIVERED) for each in usual]
    if others:
        known = _others(connection, [each.before.id for each in others])
        rows_ = [_counts(each) | _after(each, known[each.before.id], now) for each in others]
        update_rows(connection, Delivery, rows_)
        entries += [_entry(each, row["status"]) for each, row in zip(others, rows_, strict=True)]
    rollups.count(connection, entries, now)


def _counts(judged: Judged) -> dict[str, Any]:
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


@cache
def _deliver(dialect: str) -> Update:
    """Plain successes: what all of them get is said once."""
    numbers = ("attempts", "tries", "code", "took_ms")
    given = Rowset(dialect, id=BigInteger(), **dict.fromkeys(numbers, Integer()))
    return (
        update(Delivery)
        .where(Delivery.id == given["id"])
        .values(
            status=literal_column(f"'{DeliveryStatus.DELIVERED}'"),
            finished_at=bindparam("now", type_=UtcDateTime()),
            **{name: given[name] for name in numbers},
        )
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
