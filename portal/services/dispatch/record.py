"""Recording what came of attempts, many in one transaction, by whoever still holds their leases.

May run twice with the same results: a commit whose answer was lost is simply made again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, and_, literal_column, select

from portal.database.engine import AnyRow, database_now
from portal.engine.health import End
from portal.engine.retry_policy import Decision, Delivered, TurnOff, decide
from portal.extensions import settings
from portal.models.deliveries import Delivery, DeliveryStatus, Priority
from portal.models.webhooks import WebhookState
from portal.services.core.rowset import as_json, given_ids, update_rows
from portal.services.dispatch import attempts, late_results
from portal.services.dispatch.results import Result
from portal.services.outbox import leases, rollups
from portal.services.outbox.transitions import OPEN_DELIVERY, columns, open_delivery_of
from portal.services.webhooks import activation
from portal.services.webhooks.health import HealthRow, lock_webhooks, write_health

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


def record(connection: Connection, results: Sequence[Result], jitter: Callable[[], float]) -> bool:
    """Write down `results`. True, so that it can be told from a database that did not take it.

    `connection` is in a writing transaction. A delivery whose lease is no longer ours has a newer
    attempt: then only our attempt is written (`late_results`).
    """
    now = database_now(connection)
    # Whoever sends, retries, stops or rests a delivery has its webhook's lock: nobody does now.
    webhooks = lock_webhooks(connection, {result.claim.webhook.id for result in results})
    judged = [
        each
        for some in _one_of_each(results)
        for each in _write(connection, _deciding(connection, some), jitter, now)
    ]
    write_health(connection, webhooks, _ends(judged, webhooks), now)
    _turn_off(connection, judged, webhooks)
    for webhook_id, webhook in webhooks.items():
        if webhook.deleted_at is not None or webhook.state != WebhookState.ACTIVE:
            # It was turned off or deleted meanwhile: what would be tried again is put to rest.
            activation.hold_open(connection, webhook_id)
    return True


def _one_of_each(results: Sequence[Result]) -> Iterator[Sequence[Result]]:
    """Nearly always all at once. A pump that stood still beyond its lease may bring an attempt and
    the next one of the same delivery: one after the other, as each is a result of the other."""
    while results:
        first: dict[int, Result] = {}
        for each in results:
            first.setdefault(each.claim.delivery_id, each)
        yield list(first.values())
        results = [each for each in results if first[each.claim.delivery_id] is not each]


def _deciding(connection: Connection, results: Sequence[Result]) -> Sequence[Result]:
    """Those that decide about their deliveries: their lease is still the one that was sent under,
    or it was lost with the database, and nobody has another. Of others the attempt is stored."""
    held = [(each.claim.delivery_id, each.claim.token) for each in results]
    taken = set(leases.take_ids(connection, held))
    return [
        each
        for each in results
        if each.claim.delivery_id in taken or not late_results.is_settled(connection, each)
    ]


def _write(
    connection: Connection, results: Sequence[Result], jitter: Callable[[], float], now: datetime
) -> Sequence[Judged]:
    """The attempts, and what becomes of their deliveries."""
    schedule = settings().webhook_retry_schedule
    standings = _standings(connection, [each.claim.delivery_id for each in results])
    judged = [
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
    if judged:
        attempts.write(connection, [(each.result, each.number) for each in judged])
        _write_deliveries(connection, judged, now)
    return judged


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


def _write_deliveries(connection: Connection, judged: Sequence[Judged], now: datetime) -> None:
    rows, entries = [], []
    others = _others(connection, [each.before.id for each in judged if not each.is_usual])
    for each in judged:
        before, after = each.before, _after(each, others, now)
        counts = {"attempts": each.number, "tries": each.result.claim.tries}
        rows.append({"id": before.id, **counts, **after})
        entries.append(
            rollups.StatusChange(
                each.result.claim.webhook.id,
                after["status"],
                before.priority,
                before.prior_status,
                has_failed=each.result.outcome.reason is not None,
                is_late=each.result.is_late,
            )
        )
    update_rows(connection, Delivery, rows)
    rollups.count(connection, entries, now)


def _others(connection: Connection, ids: Sequence[int]) -> dict[int, AnyRow]:
    if not ids:
        return {}
    found = connection.execute(_whole(connection.dialect.name), {"ids": as_json(ids)})
    return {row.id: row for row in found.all()}


@cache
def _whole(dialect: str) -> Select[*tuple[Any, ...]]:
    wanted = Delivery.id.in_(given_ids(dialect))
    return select(Delivery.id, Delivery.reason, *OPEN_DELIVERY).where(wanted)


def _after(judged: Judged, others: dict[int, AnyRow], now: datetime) -> dict[str, Any]:
    """Only what changes: SQLite writes every index anew whose column is named, changed or not."""
    outcome, took_ms = judged.result.outcome, judged.result.took_ms
    written = {"code": outcome.code, "took_ms": took_ms}
    if judged.is_usual:
        return {"status": DeliveryStatus.DELIVERED, "finished_at": now, **written}
    before = others[judged.before.id]
    values = columns(judged.decision, open_delivery_of(before), now) | {"reason": outcome.reason}
    changed = {name: v for name, v in values.items() if v != getattr(before, name, NOT_READ)}
    return {**changed, **written}


def _ends(judged: Sequence[Judged], webhooks: Mapping[int, HealthRow]) -> dict[int, list[End]]:
    """How the attempts of each webhook ended, in the order in which they did."""
    ends: dict[int, list[End]] = defaultdict(list)
    in_turn = sorted((each.result for each in judged), key=lambda each: each.finished_at)
    for result in in_turn:
        ends[result.claim.webhook.id].append(
            End(
                kind=result.claim.kind,
                reason=result.outcome.reason,
                retry_after=result.outcome.retry_after,
                was_probe=result.claim.webhook.throttled,
                is_outdated=_is_outdated(result, webhooks),
            )
        )
    return ends


def _is_outdated(result: Result, webhooks: Mapping[int, HealthRow]) -> bool:
    """Whether the webhook was changed after this was claimed."""
    sent_to = result.claim.webhook
    return sent_to.id in webhooks and webhooks[sent_to.id].version != sent_to.version


def _turn_off(
    connection: Connection, judged: Sequence[Judged], webhooks: Mapping[int, HealthRow]
) -> None:
    """A receiver that said 410 Gone gets nothing more until a person turns it on again."""
    gone = {
        each.result.claim.webhook.id
        for each in judged
        if isinstance(each.decision, TurnOff) and not _is_outdated(each.result, webhooks)
    }
    for webhook_id in sorted(gone):
        activation.turn_off_gone(connection, webhook_id)
