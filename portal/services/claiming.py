"""Claiming: whoever holds a delivery's lease sends it, and nobody else does.

One short transaction locks each webhook with something due, counts what is being sent to it, takes
no more than its free places, and leaves an attempt that reads `interrupted` until it is recorded.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select, update

from portal.database import AnyRow, database_now
from portal.delivery.policy import AttemptKind
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, Delivery
from portal.models.webhooks import Webhook
from portal.services.dispatch import find_wanted
from portal.services.inbox_address import shown_url
from portal.services.picking import INTERRUPTED, take


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that is ours to send until its lease ends. `tries` includes this attempt."""

    delivery_id: int
    public_id: UUID
    token: UUID
    attempt_id: int
    kind: AttemptKind
    tries: int
    event: str
    occurred_at: datetime
    body: bytes
    webhook: AnyRow


def claim(connection: Connection, places: int) -> list[Claim]:
    """Claim up to `places` deliveries. `connection` is in a writing transaction."""
    now, started_at = database_now(connection), utcnow()
    candidates = find_wanted(connection, now)
    if not candidates or places <= 0:
        return []
    webhooks = _lock(connection, [each.webhook_id for each in candidates])
    wanted = candidates
    if connection.dialect.name != "sqlite":
        # Again, now that nobody else can claim for them or turn them off: cap, probe and order are
        # exact by it. On SQLite nobody could from the first line on.
        wanted = find_wanted(connection, now, among=webhooks)
    # In a new order each time: with fewer places than webhooks, none is always the last.
    random.shuffle(wanted)
    taken: list[tuple[AnyRow, AttemptKind]] = []
    for each in wanted:
        if len(taken) < places:
            taken += take(connection, each, places - len(taken), now)
    return _lease(connection, taken, webhooks, now, started_at) if taken else []


def _lock(connection: Connection, ids: Sequence[int]) -> dict[int, AnyRow]:
    """Lock the webhooks that no other pump is claiming for.

    `FOR NO KEY UPDATE`: events that are being stored meanwhile refer to the row and need not wait.
    """
    rows = connection.execute(
        select(
            Webhook.id,
            Webhook.public_id,
            Webhook.kind,
            Webhook.url,
            Webhook.secret_enc,
            Webhook.old_secret_enc,
            Webhook.old_until,
            Webhook.headers_enc,
            Webhook.throttled,
        )
        .where(Webhook.id.in_(ids))
        .order_by(Webhook.id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return {row.id: row for row in rows}


def _lease(
    connection: Connection,
    taken: Sequence[tuple[AnyRow, AttemptKind]],
    webhooks: dict[int, AnyRow],
    now: datetime,
    started_at: datetime,
) -> list[Claim]:
    token = uuid4()
    until = now + timedelta(seconds=settings().lease_seconds)
    for is_scheduled in (True, False):
        ids = [row.id for row, kind in taken if (kind is AttemptKind.SCHEDULED) == is_scheduled]
        _set_lease(connection, ids, token, until, 1 if is_scheduled else 0)
    attempts = _open_attempts(connection, taken, webhooks, started_at)
    return [
        Claim(
            delivery_id=row.id,
            public_id=row.public_id,
            token=token,
            attempt_id=attempts[row.id],
            kind=kind,
            tries=row.tries + (kind is AttemptKind.SCHEDULED),
            event=row.event,
            occurred_at=row.occurred_at,
            body=row.body,
            webhook=webhooks[row.webhook_id],
        )
        for row, kind in taken
    ]


def _set_lease(
    connection: Connection, ids: Iterable[int], token: UUID, until: datetime, tries: int
) -> None:
    if not (ids := list(ids)):
        return
    connection.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(
            lease_token=token,
            lease_until=until,
            tries=Delivery.tries + tries,
            attempts=Delivery.attempts + 1,
        )
    )


def _open_attempts(
    connection: Connection,
    taken: Sequence[tuple[AnyRow, AttemptKind]],
    webhooks: dict[int, AnyRow],
    started_at: datetime,
) -> dict[int, int]:
    """Insert an attempt for each row; return its id by the delivery's."""
    rows = [
        {
            "delivery_id": row.id,
            "number": row.attempts + 1,
            "kind": kind,
            "actor": row.requested_by,
            "url": shown_url(webhooks[row.webhook_id].kind, webhooks[row.webhook_id].url),
            "outcome": INTERRUPTED,
            "started_at": started_at,
        }
        for row, kind in taken
    ]
    made = connection.execute(insert(Attempt).returning(Attempt.id, Attempt.delivery_id), rows)
    return {delivery_id: attempt_id for attempt_id, delivery_id in made}
