"""The health of webhooks, read and written under their rows' locks."""

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

# Pages show no more exactly when something last arrived; so its row is not written each time.
A_MOMENT: Final = timedelta(seconds=1)
OF_HEALTH: Final = tuple(field.name for field in fields(Health))


class HealthRow(NamedTuple):
    """A webhook's columns from which its health is reckoned."""

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
        """Return whether its last delivery is stored already, to the second."""
        return self.last_delivered_at is not None and now - self.last_delivered_at < A_MOMENT


def lock_webhooks(
    connection: Connection, ids: Iterable[int]
) -> tuple[datetime | None, dict[int, HealthRow]]:
    """Lock webhooks in the order of their ids, before their deliveries, and return them, but for
    those that somebody else has locked; and the database's time, None where none is returned."""
    statement, given = _locked(connection.dialect.name), {"ids": as_json(ids), "now": frozen_at()}
    rows = connection.execute(statement, given).all()
    moment = rows[0][-1] if rows else None
    return moment, {row[0]: HealthRow._make(row[:-1]) for row in rows}


def still_there(connection: Connection, ids: Collection[int]) -> Collection[int]:
    """The ids of those that exist, whoever has locked them."""
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
    """Write what ended attempts say about their webhooks, and turn off the hopeless.

    Returns by id for how many seconds webhooks back off from now on.
    """
    changes, backoffs = [], {}
    for webhook_id in sorted(ends.keys() & webhooks.keys()):
        webhook = webhooks[webhook_id]
        before = after = _health_of(webhook)
        for end in ends[webhook_id]:
            after = health_after(after, end, now)
        changed = asdict(after) if after != before else {}
        arrived = (end.reason is None and end.kind != AttemptKind.TEST for end in ends[webhook_id])
        # Whether anything arrived since a failure is told exactly.
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
