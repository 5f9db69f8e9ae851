"""Recording what came of attempts, many in one transaction, by whoever still holds their leases.

May run twice with the same results: a commit whose answer was lost is simply made again.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from portal.database import AnyRow, database_now
from portal.delivery.policy import AttemptKind, Decision, Outcome, TurnOff, decide
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptBody, Delivery
from portal.models.webhooks import Webhook
from portal.services import switching
from portal.services.claiming import Claim
from portal.services.unit import insert_or_ignore
from portal.services.verdicts import columns, health_after, standing_of

DELIVERED: Final = "delivered"
FAILED: Final = "failed"

Owned = dict[int, AnyRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one attempt ended. `phases`: milliseconds since its start. Everything is bounded."""

    claim: Claim
    outcome: Outcome
    phases: dict[str, float | None]
    peer: str | None
    certificate_ends_at: datetime | None
    request_headers: list[list[str]]
    response_headers: list[list[str]]
    response_text: str
    is_truncated: bool
    location: str | None
    detail: str
    finished_at: datetime

    @property
    def took_ms(self) -> int:
        """Milliseconds from start to end."""
        return round(self.phases.get("total") or 0)


def record(
    connection: Connection, results: Sequence[Result], jitter: Callable[[], float]
) -> list[int]:
    """Write down `results`; return the row ids of webhooks that were turned off by them.

    `connection` is in a writing transaction. A delivery whose lease is no longer ours has a newer
    attempt: then only our attempt is written.
    """
    now = database_now(connection)
    webhooks = _lock_webhooks(connection, results)
    owned = _owned(connection, results)
    decisions = {
        result.claim.delivery_id: decide(
            kind=result.claim.kind,
            tries=result.claim.tries,
            outcome=result.outcome,
            now=now,
            jitter=jitter(),
            schedule=settings().webhook_retry_schedule,
        )
        for result in results
        if result.claim.delivery_id in owned
    }
    _write_attempts(connection, results)
    _write_deliveries(connection, results, decisions, owned, webhooks, now)
    _write_health(connection, results, owned, webhooks, now)
    return _turn_off(connection, results, decisions, webhooks)


def release(connection: Connection, claims: Sequence[Claim]) -> None:
    """Give back leases at a warm shutdown: due at once, counted as nothing.

    `finished_at` tells these attempts from those that a crash cut off.
    """
    for claim in claims:
        counted = 1 if claim.kind is AttemptKind.SCHEDULED else 0
        connection.execute(
            update(Delivery)
            .where(Delivery.id == claim.delivery_id, Delivery.lease_token == claim.token)
            .values(lease_token=None, lease_until=None, tries=Delivery.tries - counted)
        )
    connection.execute(
        update(Attempt)
        .where(Attempt.id.in_([claim.attempt_id for claim in claims]))
        .values(finished_at=utcnow())
    )


def _lock_webhooks(connection: Connection, results: Sequence[Result]) -> dict[int, AnyRow]:
    """The webhooks as they are now, locked before their deliveries as everywhere."""
    rows = connection.execute(
        select(
            Webhook.id,
            Webhook.public_id,
            Webhook.name,
            Webhook.state,
            Webhook.deleted_at,
            Webhook.failures_in_row,
            Webhook.failing_since,
        )
        .where(Webhook.id.in_({result.claim.webhook.id for result in results}))
        .order_by(Webhook.id)
        .with_for_update(key_share=True)
    )
    return {row.id: row for row in rows}


def _owned(connection: Connection, results: Sequence[Result]) -> Owned:
    """The deliveries whose lease is still the one that was sent under."""
    tokens = {result.claim.delivery_id: result.claim.token for result in results}
    rows = connection.execute(
        select(
            Delivery.id,
            Delivery.lease_token,
            Delivery.due_at,
            Delivery.priority,
            Delivery.prior_status,
            Delivery.prior_due_at,
            Delivery.requested_by,
        )
        .where(Delivery.id.in_(tokens))
        .order_by(Delivery.id)
        .with_for_update()
    )
    return {row.id: row for row in rows if row.lease_token == tokens[row.id]}


def _write_attempts(connection: Connection, results: Sequence[Result]) -> None:
    connection.execute(
        update(Attempt).where(Attempt.id == bindparam("attempt")),
        [
            {
                "attempt": result.claim.attempt_id,
                "outcome": FAILED if result.outcome.reason else DELIVERED,
                "reason": result.outcome.reason,
                "code": result.outcome.code,
                "phases": result.phases,
                "peer": result.peer,
                "certificate_ends_at": result.certificate_ends_at,
                "finished_at": result.finished_at,
            }
            for result in results
        ],
    )
    bodies = insert_or_ignore(connection)(AttemptBody).on_conflict_do_nothing()
    connection.execute(
        bodies,
        [
            {
                "attempt_id": result.claim.attempt_id,
                "request_headers": result.request_headers,
                "response_headers": result.response_headers,
                "response_text": result.response_text,
                "is_truncated": result.is_truncated,
                "location": result.location,
                "detail": result.detail,
            }
            for result in results
        ],
    )


def _write_deliveries(
    connection: Connection,
    results: Sequence[Result],
    decisions: dict[int, Decision],
    owned: Owned,
    webhooks: dict[int, AnyRow],
    now: datetime,
) -> None:
    rows = [
        {
            "delivery": result.claim.delivery_id,
            "reason": result.outcome.reason,
            "code": result.outcome.code,
            "took_ms": result.took_ms,
            "lease_token": None,
            "lease_until": None,
            **columns(
                decisions[result.claim.delivery_id],
                standing_of(owned[result.claim.delivery_id], webhooks.get(result.claim.webhook.id)),
                now,
            ),
        }
        for result in results
        if result.claim.delivery_id in decisions
    ]
    if rows:
        statement = update(Delivery).where(Delivery.id == bindparam("delivery"))
        connection.execute(statement, rows)


def _write_health(
    connection: Connection,
    results: Sequence[Result],
    owned: Owned,
    webhooks: dict[int, AnyRow],
    now: datetime,
) -> None:
    """Tests say nothing about a webhook's health, nor do attempts that others have overtaken."""
    ends: dict[int, list[bool]] = defaultdict(list)
    for result in sorted(results, key=lambda each: each.finished_at):
        if result.claim.kind is not AttemptKind.TEST and result.claim.delivery_id in owned:
            ends[result.claim.webhook.id].append(result.outcome.reason is None)
    for webhook_id in sorted(ends.keys() & webhooks.keys()):
        values = health_after(webhooks[webhook_id], ends[webhook_id], now)
        connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(**values))


def _turn_off(
    connection: Connection,
    results: Sequence[Result],
    decisions: dict[int, Decision],
    webhooks: dict[int, AnyRow],
) -> list[int]:
    """A receiver that said 410 Gone gets nothing more until a person turns it on again."""
    gone = {
        result.claim.webhook.id
        for result in results
        if isinstance(decisions.get(result.claim.delivery_id), TurnOff)
    }
    for webhook_id in sorted(gone & webhooks.keys()):
        switching.turn_off_gone(connection, webhook_id)
    return sorted(gone)
