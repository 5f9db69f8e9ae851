"""The outbox: an event and its deliveries, stored in the transaction of the change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.orm import Session

from portal.delivery.event_names import EventName
from portal.delivery.payload import AssetSnapshot, build_body
from portal.extensions import settings
from portal.models.deliveries import Delivery, DeliveryStatus, Event, Priority
from portal.models.webhooks import Webhook, WebhookEvent, WebhookState
from portal.services.unit import database_time, ring

LISTENING = (WebhookState.ACTIVE, WebhookState.OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What happened to which asset. `asset_id` is None once the asset is deleted."""

    event: EventName
    asset_id: int | None
    asset: AssetSnapshot
    data: Mapping[str, Any]
    occurred_at: datetime


def publish(current: Session, happening: Happening) -> int:
    """Store the event with its frozen body, fan it out, have the bell rung; return its row id."""
    body = build_body(
        happening.event,
        occurred_at=happening.occurred_at,
        source=settings().webhook_source,
        asset_id=happening.asset_id,
        asset=happening.asset,
        data=happening.data,
    )
    event = Event(
        event=happening.event,
        asset_id=happening.asset.id,
        asset_tag=happening.asset.asset_tag,
        asset_name=happening.asset.name,
        occurred_at=happening.occurred_at,
        body=body,
    )
    current.add(event)
    current.flush()
    _fan_out(current, event)
    return event.id


def _subscribers(current: Session, event: str) -> Sequence[Row[int, str]]:
    wanted = (
        select(Webhook.id, Webhook.state)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(
            WebhookEvent.event == event,
            Webhook.state.in_(LISTENING),
            Webhook.deleted_at.is_(None),
        )
        .order_by(Webhook.id)
    )
    return current.execute(wanted).all()


def _fan_out(current: Session, event: Event) -> None:
    """One delivery per subscriber: due at once, or held from the start while it is off."""
    subscribers = _subscribers(current, event.event)
    if not subscribers:
        return
    now = database_time(current)
    rows = [
        {
            "event_id": event.id,
            "webhook_id": webhook_id,
            "event": event.event,
            "asset_id": event.asset_id,
            "status": DeliveryStatus.WAITING if state == "active" else DeliveryStatus.HELD,
            "priority": Priority.NORMAL,
            "due_at": now,
        }
        for webhook_id, state in subscribers
    ]
    current.execute(insert(Delivery), rows)
    ring(current)
