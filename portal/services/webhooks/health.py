"""Read and write the health of webhooks, under the locks of their rows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, select

from portal.database.engine import clock
from portal.engine.circuit_breaker import End, Health, health_after, is_hopeless
from portal.engine.retry_policy import AttemptKind
from portal.lib.clock import frozen_at
from portal.models.webhooks import Webhook
from portal.services.core.queries import as_json, given_ids, update_rows
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.held_deliveries import reopen

# Pages show the last arrival no more exactly, so the row is not written each time.
A_MOMENT: Final = timedelta(seconds=1)
OF_HEALTH: Final = tuple(field.name for field in fields(Health))


class HealthRow(NamedTuple):
    """The columns from which a webhook's health is computed."""

    id: int
    state: str
    deleted_at: datetime | None
    in_order: bool
    failures_in_row: int
    failing_since: datetime | None
    throttled: bool
    backoff_seconds: int
    backoff_until: datetime | None
    stopped_for: int
    version: int
    last_delivered_at: datetime | None

    def is_up_to_date(self, now: datetime) -> bool:
        """Return whether its last delivery is already stored, to the second."""
        return self.last_delivered_at is not None and now - self.last_delivered_at < A_MOMENT


def lock_webhooks(
    connection: Connection, ids: Iterable[int]
) -> tuple[datetime | None, dict[int, HealthRow]]:
    """Lock webhooks in id order, before their deliveries, skipping those that others have locked.

    Returns the database's time, or None if none was locked, and the locked rows by id.
    """
    statement, params = _locked(connection.dialect.name), {"ids": as_json(ids), "now": frozen_at()}
    rows = connection.execute(statement, params).all()
    moment = rows[0][-1] if rows else None
    return moment, {row[0]: HealthRow._make(row[:-1]) for row in rows}


def still_there(connection: Connection, ids: Collection[int]) -> Collection[int]:
    """Return the ids of webhooks that exist, even if locked by others."""
    if not ids:
        return ()
    return connection.execute(select(Webhook.id).where(Webhook.id.in_(ids))).scalars().all()


@cache
def _locked(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(*(getattr(Webhook, name) for name in HealthRow._fields), clock(dialect))
        .where(Webhook.id.in_(given_ids(dialect)))
        .order_by(Webhook.id)
        .with_for_update(key_share=True, skip_locked=True)
    )


def write_health(
    connection: Connection,
    webhooks: Mapping[int, HealthRow],
    ends: Mapping[int, Sequence[End]],
    now: datetime,
) -> Mapping[int, int]:
    """Update webhooks from their ended attempts, and turn off hopeless ones.

    Returns the new backoffs in seconds, by id.
    """
    changes, backoffs = [], {}
    for webhook_id in sorted(ends.keys() & webhooks.keys()):
        webhook = webhooks[webhook_id]
        before = after = _health_of(webhook)
        for end in ends[webhook_id]:
            after = health_after(after, end, now)
        changed = asdict(after) if after != before else {}
        arrived = (end.reason is None and end.kind != AttemptKind.TEST for end in ends[webhook_id])
        # After a failure, the time of an arrival must be exact.
        has_failed = before.failing_since or any(end.reason for end in ends[webhook_id])
        if any(arrived) and (has_failed or not webhook.is_up_to_date(now)):
            changed["last_delivered_at"] = now
        if changed:
            changes.append({"id": webhook_id, **changed})
        if after.backoff_until is not None and after.backoff_until != before.backoff_until:
            backoffs[webhook_id] = round((after.backoff_until - now).total_seconds())
        if before.throttled and not after.throttled:
            reopen(connection, webhook.id, webhook.in_order, now)
        if after.failures_in_row > before.failures_in_row and is_hopeless(after, now):
            turn_on_off.turn_off_failing(connection, webhook_id)
    update_rows(connection, Webhook, changes)
    return backoffs


def _health_of(webhook: HealthRow) -> Health:
    return Health(**{name: getattr(webhook, name) for name in OF_HEALTH})
