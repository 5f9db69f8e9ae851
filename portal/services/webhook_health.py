"""How webhooks stand: their health is read and written under their rows' locks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from portal.database import AnyRow
from portal.delivery.health import End, Health, health_after, is_hopeless
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services import switching
from portal.services.dispatch import head_of


def lock_webhooks(connection: Connection, ids: Iterable[int]) -> dict[int, AnyRow]:
    """The webhooks as they are now, locked in the order of their ids, before their deliveries."""
    rows = connection.execute(
        select(
            Webhook.id,
            Webhook.state,
            Webhook.deleted_at,
            Webhook.in_order,
            Webhook.failures_in_row,
            Webhook.failing_since,
            Webhook.throttled,
            Webhook.pause,
            Webhook.not_before,
            Webhook.last_delivered_at,
        )
        .where(Webhook.id.in_(list(ids)))
        .order_by(Webhook.id)
        .with_for_update(key_share=True)
    )
    return {row.id: row for row in rows}


def write_health(
    connection: Connection,
    webhooks: Mapping[int, AnyRow],
    ends: Mapping[int, Sequence[End]],
    now: datetime,
) -> None:
    """Write what the attempts that ended say about their webhooks, and turn off the hopeless."""
    changes = []
    for webhook_id in sorted(ends.keys() & webhooks.keys()):
        before = _health_of(webhooks[webhook_id])
        after = before
        for end in ends[webhook_id]:
            after = health_after(after, end, now)
        delivered = any(end.reason is None and end.kind != "test" for end in ends[webhook_id])
        last = now if delivered else webhooks[webhook_id].last_delivered_at
        changes.append({"webhook": webhook_id, "last_delivered_at": last, **asdict(after)})
        if before.throttled and not after.throttled:
            _reopen(connection, webhooks[webhook_id], now)
        if after.failures_in_row > before.failures_in_row and is_hopeless(after, now):
            switching.turn_off_failing(connection, webhook_id)
    if changes:
        statement = update(Webhook).where(Webhook.id == bindparam("webhook"))
        connection.execute(statement, changes)


def _health_of(webhook: AnyRow) -> Health:
    return Health(
        failures_in_row=webhook.failures_in_row,
        failing_since=webhook.failing_since,
        throttled=webhook.throttled,
        pause=webhook.pause,
        not_before=webhook.not_before,
    )


def _reopen(connection: Connection, webhook: AnyRow, now: datetime) -> None:
    """The receiver is well again: what waits for a retry goes soon, in order the head at once."""
    if webhook.in_order:
        connection.execute(
            update(Delivery)
            .where(Delivery.id == head_of(webhook.id), Delivery.due_at > now)
            .values(due_at=now)
        )
        return
    connection.execute(update(Webhook).where(Webhook.id == webhook.id).values(reopened_at=now))
