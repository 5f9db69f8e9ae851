"""Create deliveries in any state, directly in the tables."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select, update

from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptBody, Delivery, Event, Lease, Priority
from portal.services.core.unit_of_work import database_time, writing
from tests.support.factories import Hook, make_webhook

FINAL = ("delivered", "failed", "dismissed")
BODY = b'{"event":"asset.created","asset_id":7,"data":{"note":"caf\xc3\xa9"}}'


def make_delivery(webhook: Hook | None = None, **columns: Any) -> UUID:
    """Create one delivery of one event, waiting by default. Returns its public id."""
    webhook = webhook or make_webhook()
    body = columns.pop("body", BODY)
    is_test = columns.get("priority") == Priority.TEST
    tag = columns.pop("asset_tag", "AST-00007")
    name = columns.pop("asset_name", "Projector")
    happened = columns.pop("occurred_at", None)
    with writing() as current:
        now = database_time(current)
        event = Event(
            event=columns.get("event", "asset.created"),
            asset_id=columns.get("asset_id", 7),
            asset_tag=tag,
            asset_name=name,
            occurred_at=happened or now,
            body=body,
            is_test=is_test,
        )
        current.add(event)
        current.flush()
        is_over = columns.get("status") in FINAL
        ended = {"finished_at": columns.get("created_at", now)} if is_over else {}
        fails = columns.get("status") == "failed" or columns.get("tries", 0) > 1
        since = {"failing_since": columns.get("created_at", now)} if fails and not is_test else {}
        standing = {**ended, **since}
        values = {"event": "asset.created", "asset_id": 7, "due_at": now, **standing, **columns}
        delivery = Delivery(event_id=event.id, webhook_id=webhook.id, **values)
        current.add(delivery)
        current.flush()
        return delivery.public_id


def fail(hook: Hook, reason: str = "server", code: int | None = 500, **columns: Any) -> UUID:
    """Create a delivery that failed for good. Returns its public id."""
    return make_delivery(hook, **{"status": "failed", "reason": reason, "code": code, **columns})


def make_attempt(delivery: UUID, **columns: Any) -> None:
    """Create the next attempt of a delivery, with columns of `Attempt` or `AttemptBody`."""
    body_names = {column.key for column in AttemptBody.__table__.columns}
    body = {name: columns.pop(name) for name in list(columns) if name in body_names}
    with writing() as current:
        row = current.execute(select(Delivery).where(Delivery.public_id == delivery)).scalar_one()
        row.attempts += 1
        values = {
            "kind": "scheduled",
            "url": "https://receiver.example.com/hook",
            "outcome": "failed",
            "started_at": utcnow(),
            "finished_at": utcnow(),
        }
        attempt = Attempt(delivery_id=row.id, number=row.attempts, **{**values, **columns})
        current.add(attempt)
        current.flush()
        parts = {"request_headers": [], "response_headers": [], **body}
        current.add(AttemptBody(attempt_id=attempt.id, **parts))


def lease(delivery: UUID, seconds: float = 60, **columns: Any) -> None:
    """Lease a delivery for `seconds`. A negative value creates an expired lease."""
    with writing() as current:
        row = current.execute(select(Delivery).where(Delivery.public_id == delivery)).scalar_one()
        now = database_time(current)
        values = {
            "webhook_id": row.webhook_id,
            "token": uuid4(),
            "until": now + timedelta(seconds=seconds),
            "number": row.attempts + 1,
            "kind": "manual" if row.prior_status else "scheduled",
            "url": "https://receiver.example.com/hook",
            "started_at": now,
        }
        current.merge(Lease(delivery_id=row.id, **{**values, **columns}))


def find_lease(delivery: UUID) -> Lease | None:
    """Return the lease of a delivery, expired or not."""
    with writing() as current:
        query = select(Lease).join(Delivery, Delivery.id == Lease.delivery_id)
        lease_row = current.scalars(query.where(Delivery.public_id == delivery)).one_or_none()
        if lease_row is not None:
            current.expunge(lease_row)
        return lease_row


def free(delivery: UUID) -> None:
    """Delete the lease of a delivery."""
    with writing() as current:
        ids = select(Delivery.id).where(Delivery.public_id == delivery)
        current.execute(delete(Lease).where(Lease.delivery_id.in_(ids)))


def change(delivery: UUID, **columns: Any) -> None:
    with writing() as current:
        current.execute(update(Delivery).where(Delivery.public_id == delivery).values(**columns))


def stored(delivery: UUID) -> dict[str, Any]:
    """Return every current column of a delivery."""
    table = Delivery.__table__
    with writing() as current:
        query = select(*table.columns).where(table.c.public_id == delivery)
        return dict(current.execute(query).one()._mapping)


def make_many(webhooks: Iterable[Hook], count: int, since: datetime) -> None:
    """Create `count` deliveries a second apart, over all webhooks, events, statuses, and assets."""
    hooks = list(webhooks)
    events = ("asset.created", "asset.updated", "asset.deleted")
    statuses = ("delivered",) * 17 + ("failed", "retrying", "on_hold")
    reasons = (None,) * 8 + ("server",) * 6 + ("dns",) * 6
    codes = (200,) * 8 + (500,) * 6 + (None,) * 6
    now = utcnow()
    with writing() as current:
        made = current.execute(
            insert(Event).returning(Event.id, sort_by_parameter_order=True),
            [
                {
                    "event": events[number % len(events)],
                    "asset_id": number % 500,
                    "asset_tag": f"AST-{number % 500:05}",
                    "occurred_at": now,
                    "body": BODY,
                }
                for number in range(count)
            ],
        ).scalars()
        rows = [
            {
                "event_id": event_id,
                "webhook_id": hooks[number % len(hooks)].id,
                "event": events[number % len(events)],
                "asset_id": number % 500,
                "status": statuses[number // 7 % len(statuses)],
                "reason": reasons[number // 7 % len(reasons)],
                "code": codes[number // 7 % len(codes)],
                "due_at": now,
                "created_at": since + timedelta(seconds=number),
                "finished_at": since + timedelta(seconds=number),
                "failing_since": since + timedelta(seconds=number)
                if statuses[number // 7 % len(statuses)] == "failed"
                else None,
            }
            for number, event_id in enumerate(made)
        ]
        current.execute(insert(Delivery), rows)
